"""The closed list of events, and the log as bytes: numbered, hash-chained and authenticated.

An event's body is JSON kept as the exact bytes that were authenticated. It names its format and the
hash of the body before it; a reader keeps members that it does not know, and stops following at a
kind that it does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from keyrack.core.errors import Tampered, Unavailable
from keyrack.core.peppers import Pepper, Peppers
from keyrack.core.records import read_time, write_time

FORMAT = 1
SUM_MODULUS = 1 << 256


class EventKind(StrEnum):
    """What a committed change can be. Documented row by row in docs/reference/events.md."""

    STORE_CREATED = "store.created"
    STORE_RESTORED = "store.restored"
    STORE_MOVED = "store.moved"
    STORE_TAKEN_OVER = "store.taken_over"
    PEPPER_ROTATED = "pepper.rotated"
    KEY_MINTED = "key.minted"
    KEY_IMPORTED = "key.imported"
    KEY_UPDATED = "key.updated"
    KEY_DISABLED = "key.disabled"
    KEY_ENABLED = "key.enabled"
    KEY_REVOKED = "key.revoked"
    KEY_REDIGESTED = "key.redigested"
    ROTATION_STARTED = "rotation.started"
    ROTATION_PROMOTED = "rotation.promoted"
    ROTATION_ABORTED = "rotation.aborted"
    ROTATION_UNDONE = "rotation.undone"
    VERSION_ENDED = "rotation.version_ended"
    TENANT_CREATED = "tenant.created"
    TENANT_UPDATED = "tenant.updated"
    TENANT_SUSPENDED = "tenant.suspended"
    TENANT_RESUMED = "tenant.resumed"
    NETWORK_BLOCKED = "tenant.network_blocked"
    NETWORK_UNBLOCKED = "tenant.network_unblocked"
    TENANT_DELETED = "tenant.deleted"
    SECRET_SEALED = "secret.sealed"
    SECRET_REENCRYPTED = "secret.reencrypted"
    SECRET_RETIRED = "secret.retired"
    UPSTREAM_CREATED = "upstream.created"
    UPSTREAM_UPDATED = "upstream.updated"
    UPSTREAM_DELETED = "upstream.deleted"
    UPSTREAM_ROTATION_STARTED = "upstream.rotation_started"
    UPSTREAM_ROTATION_CHANGED = "upstream.rotation_changed"
    UPSTREAM_PROMOTED = "upstream.promoted"
    UPSTREAM_ABORTED = "upstream.aborted"
    UPSTREAM_UNDONE = "upstream.undone"
    UPSTREAM_CLEANED_UP = "upstream.cleaned_up"
    BALANCE_CHANGED = "balance.changed"
    BALANCE_REMOVED = "balance.removed"
    API_CREATED = "api.created"
    API_UPDATED = "api.updated"
    API_DELETED = "api.deleted"


_KINDS = frozenset(kind.value for kind in EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change as people read it. `subject` is the id of the key, tenant or secret."""

    kind: EventKind
    at: datetime
    actor: str
    tenant: str | None = None
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    address: str | None = None
    number: int = 0


class Head(NamedTuple):
    """The end of a log: the last number, the hash of its body, and the sum over all records.

    The sum is authenticated with the event that carries it, so the head alone vouches for every
    record of the store: one that is missing, altered or put back changes the sum.
    """

    number: int
    hash: bytes
    state: int
    state_pepper: str
    base: int = 1
    """The number of the event that says what holds for the store: its first, or the last rotation."""
    retired: tuple[str, ...] = ()
    """The peppers that were rotated out: nothing behind the base is sealed under one of them."""


EMPTY = Head(0, bytes(32), 0, "")
"""The head of a log without events."""


class Entry(NamedTuple):
    """One row of the log: the event's exact bytes and their authentication."""

    number: int
    body: bytes
    pepper: str
    mac: bytes


def seal(event: Event, *, before: Head, state: int, state_pepper: str, pepper: Pepper) -> tuple[Entry, Head]:
    """Write an event behind `before`; `state` is the sum over all records as they are after it."""
    number = before.number + 1
    members = {
        "format": FORMAT,
        "number": number,
        "before": before.hash.hex(),
        "kind": event.kind,
        "at": write_time(event.at),
        "actor": event.actor,
        "tenant": event.tenant,
        "subject": event.subject,
        "data": event.data,
        "request_id": event.request_id,
        "address": event.address,
        "state": f"{state:x}",
        "state_pepper": state_pepper,
        "base": before.base if before.retired else None,
        "retired": before.retired or None,
        "check": pepper.check,
    }
    present = {name: value for name, value in members.items() if value is not None}
    body = json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode()
    entry = Entry(number, body, pepper.id, pepper.log.digest(body))
    return entry, Head(
        number, hashlib.sha256(body).digest(), state, state_pepper, before.base, before.retired
    )


def open_entry(entry: Entry, peppers: Peppers, *, after: Head | None = None) -> tuple[Event, Head]:
    """Authenticate an entry, and that it stands right behind `after` where that is given.

    Raises Tampered, naming the number; Unavailable for a format or kind that this code does not know.
    """
    pepper = peppers[entry.pepper]
    if not pepper.log.agrees(entry.body, entry.mac):
        raise Tampered(f"Event {entry.number} does not authenticate.", number=entry.number)
    if after is not None and entry.pepper in after.retired:
        raise Tampered(f"Event {entry.number} is under a pepper that was rotated out.", number=entry.number)
    return read_entry(entry, after=after)


def read_entry(entry: Entry, *, after: Head | None = None) -> tuple[Event, Head]:
    """Read an entry as `open_entry` does, but do not authenticate it.

    For entries whose pepper is gone: they are vouched for by the hashes of those behind them.
    """
    body = json.loads(entry.body)
    if body["number"] != entry.number or (after is not None and not _follows(body, after)):
        raise Tampered(f"Event {entry.number} is out of its place in the chain.", number=entry.number)
    head = Head(
        entry.number,
        hashlib.sha256(entry.body).digest(),
        int(body["state"], 16),
        body["state_pepper"],
        body.get("base", 1),
        tuple(body.get("retired", ())),
    )
    return _event(body), head


def open_known(entry: Entry, peppers: Peppers, *, after: Head | None = None) -> tuple[Event, Head]:
    """Open an entry; one whose pepper is not there any more is read without being authenticated."""
    if peppers.get(entry.pepper) is None:
        return read_entry(entry, after=after)
    return open_entry(entry, peppers, after=after)


def fingerprint(body: bytes, pepper: Pepper) -> int:
    """What one record adds to the sum: keyed, so that nobody can make another set with this sum."""
    return int.from_bytes(pepper.state.digest(body), "big")


def _follows(body: Mapping[str, Any], after: Head) -> bool:
    return bool(body["number"] == after.number + 1 and body["before"] == after.hash.hex())


def _event(body: Mapping[str, Any]) -> Event:
    if body["format"] > FORMAT or body["kind"] not in _KINDS:
        raise Unavailable(
            f"Event {body['number']} is of format {body['format']}, kind {body['kind']!r}: "
            "a newer Keyrack wrote it, and this one stops here until it is upgraded."
        )
    return Event(
        kind=EventKind(body["kind"]),
        at=read_time(body["at"]),
        actor=body["actor"],
        tenant=body.get("tenant"),
        subject=body.get("subject"),
        data=body.get("data", {}),
        request_id=body.get("request_id"),
        address=body.get("address"),
        number=body["number"],
    )
