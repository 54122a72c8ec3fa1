"""What a server tells of a proved key, so that accesses of it can be decided elsewhere: written and read.

Never a digest and never a text. What a decision makes of it is what it makes of the store's own record.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keyrack.client.reading import key_of, optional_time, read_block, read_key_view
from keyrack.core.checks import Proved, rules_for
from keyrack.core.model import Allowed, Tenant
from keyrack.core.records import write_time
from keyrack.presenting import block_json, key_json


def write_record(proved: Proved, now: datetime) -> dict[str, Any]:
    """The record of a proved version as JSON values; its use is not told."""
    return {
        "key": key_json(proved.key, {}, now),
        "version": proved.answer.secret.number,
        "scopes": list(proved.answer.scopes),
        "prefixes": list(proved.prefixes),
        "limited": _is_counted(proved),
        "tenant": None if proved.tenant is None else _tenant_json(proved.tenant),
    }


def read_record(record: Mapping[str, Any]) -> Proved:
    """The proved version of a record; `free` where nothing is counted, so that nobody need be asked."""
    key = key_of(read_key_view(record["key"]))
    secret = next(version for version in key.versions if version.number == record["version"])
    tenant = None if record["tenant"] is None else _tenant(record["tenant"], key.created_at)
    scopes = tuple(record["scopes"])
    return Proved(
        key=key,
        tenant=tenant,
        prefixes=tuple(record["prefixes"]),
        answer=Allowed(key, secret, scopes),
        scopes=frozenset(scopes),
        rules=rules_for(key, secret, tenant),
        charges=(),
        aged=False,
        free=not record["limited"],
    )


def _is_counted(proved: Proved) -> bool:
    """Whether each access is to be asked about: for what it costs, or for what a session ends by."""
    return bool(proved.charges) or proved.key.credits is not None or proved.answer.session is not None


def _tenant_json(tenant: Tenant) -> dict[str, Any]:
    times = {name: getattr(tenant, name) for name in ("starts_at", "ends_at", "deleted_at")}
    return {
        "id": tenant.id,
        "suspended": list(tenant.suspended),
        "blocks": [block_json(one) for one in tenant.blocks],
        **{name: None if time is None else write_time(time) for name, time in times.items()},
    }


def _tenant(state: Mapping[str, Any], known_at: datetime) -> Tenant:
    """A tenant as far as decisions look at it; when it was made they do not."""
    return Tenant(
        id=state["id"],
        name=state["id"],
        created_at=known_at,
        suspended=tuple(state["suspended"]),
        blocks=tuple(read_block(one) for one in state.get("blocks", ())),
        starts_at=optional_time(state["starts_at"]),
        ends_at=optional_time(state["ends_at"]),
        deleted_at=optional_time(state["deleted_at"]),
    )
