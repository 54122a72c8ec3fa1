"""A new first pepper takes over a store: its records, the sum that vouches for them, and its digests.

Every record is sealed anew under the first pepper, and then one Event moves the sum over all records
under it and names the older ones as rotated out. Behind that Event nothing counts that is sealed under
an older pepper; older peppers still prove the versions that were digested under them (keyrack.redigesting).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict, Tampered
from keyrack.core.events import SUM_MODULUS, Event, EventKind, Head, fingerprint
from keyrack.core.peppers import Peppers
from keyrack.core.scopes import EVERYTHING
from keyrack.key_changes import require_changeable
from keyrack.progress import Report, unreported
from keyrack.stores.follower import store_max_stale
from keyrack.stores.heads import head_of
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Record, Reseal, Snapshot
from keyrack.stores.sealing import authenticate, sealed_text

BATCH = 1000
"""How many records are sealed anew in one commit."""


class Rotated(NamedTuple):
    """What a rotation did: the number of its Event, None when there was one already, and records sealed."""

    number: int | None
    resealed: int


def rotate(stores: Stores, *, by: Authority, report: Report = unreported) -> Rotated:
    """Seal every record under the first pepper and rotate the others out. May be stopped and repeated.

    Raises Tampered when the log does not vouch for the records, Conflict (`pepper_in_use`) while
    another node still writes under an older pepper, Unavailable.
    """
    by.refuse_session()
    by.require(EVERYTHING)
    require_changeable(stores)
    with stores.keys.snapshot() as snapshot:
        head = head_of(snapshot.last(), stores.keys, stores.peppers)
        sums = _Sums.of(snapshot, head, stores.peppers, report)
        resealed = _reseal(stores, snapshot, len(sums.parts), report)
    if head.state_pepper == stores.peppers.first.id:
        return Rotated(None, resealed)
    return Rotated(stores.ledger.commit(_Rotation(stores, by, head, sums)), resealed)


class _Sums:
    """The sum over all records under the first pepper, and what each of them adds to it."""

    def __init__(self, peppers: Peppers):
        self._pepper = peppers.first
        self.parts: dict[tuple[str, str], int] = {}
        self.peppers: set[str] = set()
        self.total = 0

    @classmethod
    def of(cls, snapshot: Snapshot, head: Head, peppers: Peppers, report: Report) -> _Sums:
        """The sums of a snapshot, for which its head has to vouch under the pepper it names."""
        sums, vouched = cls(peppers), 0
        for number, (kind, record_id, body, pepper, mac) in enumerate(snapshot.records(), 1):
            authenticate(kind, record_id, body, pepper, mac, peppers)
            vouched += fingerprint(body, peppers[head.state_pepper])
            sums.put(kind, record_id, body)
            sums.peppers.add(pepper)
            if number % BATCH == 0:
                report("checking records", number, None)
        if vouched % SUM_MODULUS != head.state:
            raise Tampered("The records are not those that the log vouches for; see `keyrack events check`.")
        return sums

    def put(self, kind: str, record_id: str, body: bytes) -> None:
        """Take a record in, in the place of what was there."""
        part = fingerprint(body, self._pepper)
        self.total += part - self.parts.get((kind, record_id), 0)
        self.parts[kind, record_id] = part


def _reseal(stores: Stores, snapshot: Snapshot, total: int, report: Report) -> int:
    """Seal what is under another pepper than the first; a record that changed meanwhile is left."""
    seals = _seals(snapshot, stores.peppers)
    resealed = 0
    while batch := list(islice(seals, BATCH)):
        resealed += stores.keys.reseal(batch)
        report("sealing records", resealed, total)
    return resealed


def _seals(snapshot: Snapshot, peppers: Peppers) -> Iterator[Reseal]:
    first = peppers.first
    for kind, record_id, body, pepper, mac in snapshot.records():
        if pepper != first.id:
            new = first.record.digest(sealed_text(kind, record_id, body))
            yield Reseal(Kind(kind), record_id, mac, first.id, new)


class _Rotation:
    """The change that commits a rotation: the sums as of the snapshot, brought up to the commit."""

    def __init__(self, stores: Stores, by: Authority, head: Head, sums: _Sums):
        self._stores = stores
        self._by = by
        self._head = head
        self._sums = sums

    def __call__(self, draft: Draft) -> int | None:
        if draft.head.base != self._head.base:
            return None
        for record in draft.changed_since(self._head.number):
            self._require_sealed(record)
            self._sums.put(record.kind, record.id, record.body)
        draft.restate(self._event(), self._sums.total % SUM_MODULUS, retired=self._retired())
        return draft.head.number

    def _require_sealed(self, record: Record) -> None:
        if record.pepper != self._stores.peppers.first.id:
            raise Conflict(
                f"A node still writes under pepper {record.pepper!r}: move the new one to the front on "
                "every node, then repeat this.",
                code="pepper_in_use",
            )
        authenticate(*record[:2], record.body, record.pepper, record.mac, self._stores.peppers)

    def _retired(self) -> tuple[str, ...]:
        in_log = {entry.pepper for entry in self._stores.keys.peppers_in_use()}
        known = {*self._head.retired, *in_log, *self._sums.peppers, self._head.state_pepper}
        return tuple(sorted(known - {self._stores.peppers.first.id}))

    def _event(self) -> Event:
        stores, head = self._stores, self._head
        data = {
            "from": head.state_pepper,
            "to": stores.peppers.first.id,
            "records": len(self._sums.parts),
            "max_stale": store_max_stale(stores.keys, stores.peppers, head),
        }
        return Event(EventKind.PEPPER_ROTATED, _now(stores), self._by.name, data=data)


def _now(stores: Stores) -> datetime:
    return datetime.fromtimestamp(int(stores.clock()), UTC)
