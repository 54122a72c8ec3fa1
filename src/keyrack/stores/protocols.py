"""The storage seam for keys: what a store must do, and nothing of what the engine makes of it.

A store keeps bytes that were authenticated before they reached it, and can forge none of them.
Methods raise keyrack.core.errors.Unavailable for trouble of their own, never a driver's error, and
return within a third of max_stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from keyrack.core.events import Entry, EventKind


class Kind(StrEnum):
    """What a record is of."""

    KEY = "key"
    TENANT = "tenant"
    SECRET = "secret"
    """A version of a reversible secret, sealed: see keyrack.vault."""
    UPSTREAM = "upstream"
    API = "api"

    @classmethod
    def about(cls, event: EventKind) -> Kind:
        """What the subject of such an event is."""
        first, _, _ = event.value.partition(".")
        if first == "balance":
            # Balances are no records; what is done to one stands in the history of its group.
            return cls.UPSTREAM
        return cls(first) if first in (cls.TENANT, cls.SECRET, cls.UPSTREAM, cls.API) else cls.KEY


class Record(NamedTuple):
    """A record as it is stored: its exact bytes, their authentication, and what it is found by."""

    kind: Kind
    id: str
    revision: int
    body: bytes
    pepper: str
    mac: bytes
    tenant: str
    name: str
    owner: str | None
    serial: int
    """The number of the event that made it; lists are in this order."""


class Mark(NamedTuple):
    """That an operation with an Idempotency-Key was done. Holds codes, never a secret or a response."""

    token: bytes
    body: bytes
    subject: str
    at: float


class Batch(NamedTuple):
    """What one commit writes: all of it, or nothing."""

    entries: Sequence[Entry]
    records: Sequence[Record]
    marks: Sequence[Mark]


class Reseal(NamedTuple):
    """A new authentication for a record whose bytes stay, and the code that it has until then."""

    kind: Kind
    id: str
    was: bytes
    pepper: str
    mac: bytes


class Change(NamedTuple):
    """One entry of the log and, where it is about one, the record that it left."""

    entry: Entry
    record: Record | None


class Reading(NamedTuple):
    """A record, and the number of the log's last event at the instant at which it was read."""

    number: int
    record: Record | None


class View(Protocol):
    """What a plan may read, as of the instant before its commit."""

    def last(self) -> Entry | None:
        """The last entry of the log."""

    def record(self, kind: Kind, record_id: str) -> Record | None:
        """A record as it is now."""

    def named(self, tenant: str, name: str) -> Sequence[Record]:
        """The keys of a tenant that bear this name, in any state."""

    def changed_since(self, number: int) -> Sequence[Record]:
        """The records that an event after this number is about, as they are now."""

    def mark(self, token: bytes) -> Mark | None:
        """The mark of this token, however old."""


Plan = Callable[[View], Batch]


@dataclass(frozen=True, slots=True)
class Listing:
    """Which records a list shows: those after a serial, of a tenant, an owner; at most `most`."""

    kind: Kind = Kind.KEY
    after: int = 0
    most: int = 50
    tenant: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Which entries are read: those after a number, about a tenant or a subject; at most `most`."""

    after: int = 0
    most: int = 50
    tenant: str | None = None
    subject: str | None = None


class Snapshot(Protocol):
    """All of a store at one instant."""

    def last(self) -> Entry | None:
        """The last entry of the log."""

    def records(self) -> Iterator[tuple[str, str, bytes, str, bytes]]:
        """Every record as (kind, id, body, pepper, mac), in no order, each once."""

    def count(self) -> int:
        """How many records there are."""


class Keys(Protocol):
    """A store of records and their log."""

    blocks: bool
    """Whether a call may wait for a network; an event loop must not make it then."""

    def commit(self, plan: Plan) -> Batch:
        """Run plan alone among all writers of all processes, and write what it returns at once.

        Atomic and durable on return. A plan may be run again when another writer came first, so it
        only reads. A plan that raises, or whose batch is empty, writes nothing.
        """

    def reseal(self, seals: Sequence[Reseal]) -> int:
        """Put new authentications on the records that still have the old code; returns how many.

        Atomic. Changes neither bodies nor the log, so no reader finds anything new.
        """

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Everything at one instant, for a replica to load; its records may be read again."""

    def last(self) -> Entry | None:
        """The last entry of the log; None when the store is empty."""

    def moved(self) -> bool:
        """Whether there may be anything new since this was last asked; cheap, and may be wrong only by
        saying yes. Asked by one follower. Raises Unavailable when what is open is no longer what the
        URL names."""

    def since(self, number: int, most: int) -> Sequence[Change]:
        """The entries after number, in order, with the records of their subjects at one instant."""

    def entries(self, excerpt: Excerpt) -> Sequence[Entry]:
        """Entries of the log in order."""

    def record(self, kind: Kind, record_id: str) -> Record | None:
        """A record as it is now."""

    def read(self, kind: Kind, record_id: str) -> Reading:
        """A record together with the end of the log, both at one instant."""

    def records(self, listing: Listing) -> Sequence[Record]:
        """Records in the order in which they were made."""

    def peppers_in_use(self) -> Iterable[Entry]:
        """For each pepper that the log names, the last entry under it."""

    def marks(self) -> Sequence[Mark]:
        """Every mark that was not forgotten, in no order."""

    def forget_marks(self, before: float) -> None:
        """Drop the marks made before that time (Unix seconds)."""

    def close(self) -> None:
        """Let go of every resource; a closed store is not used again."""


@runtime_checkable
class Pushing(Protocol):
    """What Keys may do beside: be told that there is news, sooner than a follower asks."""

    def pushed(self) -> bool:
        """Whether news was announced since this was last asked. Waits for nothing; trouble with being
        told is news as well. Nothing relies on it: what was not announced is found by asking."""
