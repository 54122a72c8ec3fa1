"""Use and refusals as objects of each process, written at most once a minute and put together on reading.

Nodes are not registered here: there is no row to update, so a change that waits always waits max_stale.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from keyrack.core.errors import KeyrackError
from keyrack.stores.follower import steady
from keyrack.stores.journal import (
    ADDRESSES_KEPT_SECONDS,
    DENIALS_KEPT,
    DENIALS_KEPT_SECONDS,
    Node,
    Refusal,
    Use,
    latest,
    merged,
)
from keyrack.stores.objects import notes
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage
from keyrack.stores.opened import Clock

WRITE_SECONDS = 60.0
PART = 2_000
"""How many refusals one object holds; then the next one begins."""
PARTS_KEPT = DENIALS_KEPT // PART

log = logging.getLogger("keyrack.stores.objects")


class ObjectJournal:
    """Implements keyrack.stores.journal.Journal. A crash loses what was noted in the last minute."""

    registers = False

    def __init__(self, storage: Storage, *, every_seconds: float = WRITE_SECONDS, clock: Clock = time.time):
        self._storage = storage
        self._every_seconds = every_seconds
        self._clock = clock
        self._process = secrets.token_hex(8)
        self._turn = threading.Lock()
        self._uses: dict[tuple[str, int], Use] = {}
        self._refusals: list[Refusal] = []
        self._part = 0
        self._unwritten: set[Place] = set()
        self._due_at = steady() + every_seconds
        self._reading = notes.Reading(storage)

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        if steady() >= self._due_at:
            # Before anything is taken over: on trouble whoever gave it keeps it and gives it again.
            self._save()
        with self._turn:
            _add(self._uses, uses)
            self._refusals.extend(refusals)
            # While the storage is down for long the oldest are let go.
            del self._refusals[:-DENIALS_KEPT]
            self._unwritten.update([Place.USAGE] if uses else [], [Place.DENIALS] if refusals else [])

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        wanted, own = frozenset(key_ids), self._path(Place.USAGE)
        found: dict[tuple[str, int], Use] = {}
        for rows in self._reading.uses(without=own):
            _add(found, (use for use in rows if use.key_id in wanted))
        with self._turn:
            _add(found, (use for use in self._uses.values() if use.key_id in wanted))
        return found

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        """Refusals in the order of their times. What another process wrote late may come before a
        serial that was shown already."""
        with self._turn:
            own, path = list(self._refusals), self._path(Place.DENIALS)
        long_ago = self._clock() - DENIALS_KEPT_SECONDS
        found = (one for rows in (*self._reading.refusals(without=path), own) for one in rows)
        kept = sorted((one for one in found if one.at > long_ago), key=lambda one: one.at)
        rows = notes.numbered(kept[-DENIALS_KEPT:])
        return [row for row in rows if row[0] > after and tenant in (None, row[1].tenant)][:most]

    def renew(self, node: Node) -> None:
        """Nobody would see it in time."""

    def retire(self, node_id: str) -> None:
        """There is nothing to take back."""

    def nodes(self) -> Sequence[Node]:
        return ()

    def close(self) -> None:
        try:
            self._save()
        except KeyrackError as error:
            log.warning("the last notes could not be written: %s", error.detail)

    def _save(self) -> None:
        """Write what is new as the objects of this process, each whole. Raises Unavailable."""
        self._due_at = steady() + self._every_seconds
        with self._turn:
            unwritten, self._unwritten = self._unwritten, set()
            uses, refusals = list(map(self._recent, self._uses.values())), list(self._refusals)
        try:
            if Place.USAGE in unwritten:
                self._storage.replace(self._path(Place.USAGE), notes.written(uses))
            if Place.DENIALS in unwritten:
                self._save_refusals(refusals)
        except KeyrackError:
            with self._turn:
                self._unwritten |= unwritten
            raise

    def _save_refusals(self, refusals: Sequence[Refusal]) -> None:
        self._storage.replace(self._path(Place.DENIALS), notes.written(refusals))
        if len(refusals) >= PART:
            with self._turn:
                del self._refusals[: len(refusals)]
                self._part += 1
            self._storage.remove(self._path(Place.DENIALS, self._part - PARTS_KEPT))

    def _recent(self, use: Use) -> Use:
        return use._replace(seen=latest(use.seen, self._clock() - ADDRESSES_KEPT_SECONDS))

    def _path(self, place: Place, part: int | None = None) -> str:
        if place is Place.USAGE:
            return path_of(place, self._process)
        return path_of(place, f"{self._process}-{self._part if part is None else part}")


def _add(known: dict[tuple[str, int], Use], uses: Iterable[Use]) -> None:
    for use in uses:
        slot = (use.key_id, use.number)
        known[slot] = merged(known[slot], use) if slot in known else use
