"""Records as the JSON objects of the HTTP API: what server and command line both show.

Nothing here can show a secret: none is in what it is handed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from keyrack.core.errors import Unavailable
from keyrack.core.events import Event
from keyrack.core.http import ANSWERS
from keyrack.core.model import Block, Key, Limit, Secret, Status, Tenant, VersionState
from keyrack.core.records import write_time
from keyrack.core.rotation import is_live, rotating
from keyrack.stores.journal import ADDRESSES_KEPT_SECONDS, Journal, Refusal, Use, latest

Uses = Mapping[tuple[str, int], Use]
"""What a Journal knows of the use of keys, by id and version."""


def uses_if_readable(journal: Journal, key_ids: Sequence[str]) -> Uses:
    """The use of keys as far as a journal can say now.

    For answers with a new secret: it is shown only once, and must not be lost over how often others
    were used.
    """
    try:
        return journal.uses(key_ids)
    except Unavailable:
        return {}


def key_json(key: Key, uses: Uses, now: datetime) -> dict[str, Any]:
    """A key as it is at that time; its secret versions by number, with their use."""
    return {
        "id": key.id,
        "prefix": key.prefix,
        "environment": key.environment,
        "tenant": key.tenant,
        "name": key.name,
        "owner": key.owner,
        "scopes": list(key.scopes),
        "preset": key.preset,
        "role": key.role,
        "status": status(key, now),
        "hint": key.hint,
        "expires_at": _time(key.expires_at),
        "networks": [str(network) for network in key.networks],
        "limits": _limits(key.limits),
        "credits": key.credits,
        "metadata": dict(key.metadata),
        "created_at": _time(key.created_at),
        "created_by": key.created_by,
        "updated_at": _time(key.updated_at),
        "revoked_at": _time(key.revoked_at),
        "revoked_reason": key.revoked_reason,
        "revision": key.revision,
        "rotation": rotation_state(key, now),
        "versions": [_version(one, uses.get((key.id, one.number)), now) for one in _by_number(key)],
    }


def tenant_json(tenant: Tenant) -> dict[str, Any]:
    """A tenant; `deleted_at` is set on what is left of a deleted one."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "suspended": list(tenant.suspended),
        "starts_at": _time(tenant.starts_at),
        "ends_at": _time(tenant.ends_at),
        "limits": _limits(tenant.limits),
        "quota": None if tenant.quota is None else dict(tenant.quota),
        "metadata": dict(tenant.metadata),
        "created_at": _time(tenant.created_at),
        "updated_at": _time(tenant.updated_at),
        "deleted_at": _time(tenant.deleted_at),
        "revision": tenant.revision,
    }


def block_json(block: Block) -> dict[str, Any]:
    """A network that the keys of a tenant are refused from."""
    return {
        "id": block.id,
        "cidr": str(block.network),
        "reason": block.reason,
        "created_at": _time(block.created_at),
        "expires_at": _time(block.expires_at),
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event of the log; `subject` is the id of the key or tenant that it is about."""
    return {
        "number": event.number,
        "kind": event.kind.value,
        "at": _time(event.at),
        "actor": event.actor,
        "tenant": event.tenant,
        "subject": event.subject,
        "data": dict(event.data),
        "request_id": event.request_id,
        "address": event.address,
    }


def refusal_json(refusal: Refusal) -> dict[str, Any]:
    """A denial from the journal, with its public code and its exact reason."""
    return {
        "at": _seconds(refusal.at),
        "code": ANSWERS[refusal.reason].code,
        "reason": refusal.reason.value,
        "times": refusal.times,
        "address": refusal.address,
        "key_id": refusal.key_id,
        "tenant": refusal.tenant,
        "caller": refusal.caller,
        "operation": refusal.operation,
        "request_id": refusal.request_id,
    }


def page_json(data: Iterable[Mapping[str, Any]], cursor: int | None) -> dict[str, Any]:
    """One page of a list. `next_cursor` is a text for the caller to hand back, null on the last page."""
    return {"data": list(data), "next_cursor": None if cursor is None else str(cursor)}


def status(key: Key, now: datetime) -> str:
    """`revoked`, `disabled`, `expired` or `active`: what a decision would find first."""
    expired = key.expires_at is not None and key.expires_at <= now
    return "expired" if key.status is Status.ACTIVE and expired else key.status.value


def rotation_state(key: Key, now: datetime) -> str:
    """`active` while several secrets are live, `expired` once grace ran out by itself, else `none`."""
    if rotating(key.versions, now):
        return "active"
    ran_out = any(one.state is VersionState.LIVE and not is_live(one, now) for one in key.versions)
    return "expired" if ran_out else "none"


def _by_number(key: Key) -> list[Secret]:
    return sorted(key.versions, key=lambda version: version.number)


def _version(version: Secret, use: Use | None, now: datetime) -> dict[str, Any]:
    ran_out = version.state is VersionState.LIVE and not is_live(version, now)
    return {
        "number": version.number,
        "state": (VersionState.RETIRED if ran_out else version.state).value,
        "created_at": _time(version.created_at),
        "not_after": _time(version.not_after),
        "last_used_at": None if use is None else _seconds(use.last_at),
        "uses": 0 if use is None else use.uses,
        "addresses": [] if use is None else _addresses(use, now),
    }


def _addresses(use: Use, now: datetime) -> list[dict[str, str]]:
    """Where a version was used from within 30 days, the last one first."""
    recent = latest(use.seen, now.timestamp() - ADDRESSES_KEPT_SECONDS)
    return [{"address": address, "last_used_at": _seconds(at)} for address, at in recent.items()]


def _limits(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    return [{"name": one.name, "limit": one.limit, "window_seconds": one.window_seconds} for one in limits]


def _time(value: datetime | None) -> str | None:
    return None if value is None else write_time(value)


def _seconds(unix: float) -> str:
    return write_time(datetime.fromtimestamp(int(unix), UTC))
