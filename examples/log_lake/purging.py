"""Deletes the events of a tenant. Nothing else does: they outlive even the tenant (LL-14)."""

from __future__ import annotations

from examples.log_lake import paths
from examples.log_lake.storage import Storage


def purge(storage: Storage, tenant: str) -> int:
    """Delete all events of a tenant; how many objects there were. Raises Unavailable."""
    found = [one.path for prefix in paths.owned(tenant) for one in storage.list(prefix)]
    storage.delete(found)
    return len(found)
