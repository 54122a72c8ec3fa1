"""Quotas of tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from examples.log_lake.clock import Clock
from examples.log_lake.storage import Storage
from keyrack import Tenant


class Quotas:
    """Spends the quota of each tenant."""

    def __init__(self, storage: Storage, tenant_of: Callable[[str], Tenant | None], clock: Clock):
        self._storage = storage
        self._tenant_of = tenant_of
        self._clock = clock

    @asynccontextmanager
    async def spend(self, tenant_id: str, *, events: int, size: int) -> AsyncIterator[None]:
        """Charge a request that stores so many events and bytes; one that fails gets them back."""
        yield
