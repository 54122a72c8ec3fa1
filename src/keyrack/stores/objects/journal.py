"""Use and refusals as objects of each process, written at most once a minute and put together on reading.

Nodes are not registered here: there is no row to update, so a change that waits always waits max_stale.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence

from keyrack.core.errors import KeyrackError
from keyrack.stores.follower import NEVER, steady
from keyrack.stores.journal import DENIALS_KEPT, DENIALS_KEPT_SECONDS, Node, Refusal, Use
from keyrack.stores.objects import notes
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage
from keyrack.stores.objects.tidying import tidy
from keyrack.stores.objects.usage import Usage
from keyrack.stores.opened import Clock

WRITE_SECONDS = 60.0
TIDY_SECONDS = 3600.0
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
        self._usage = Usage(storage, clock)
        self._refusals: list[Refusal] = []
        self._part = 0
        self._has_new_refusals = False
        self._due_at = steady() + every_seconds
        self._tidy_at = NEVER
        self._reading = notes.Reading(storage)

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        if steady() >= self._due_at:
            # Before anything is taken over: on trouble whoever gave it keeps it and gives it again.
            self._save()
        self._usage.add(uses)
        with self._turn:
            self._refusals.extend(refusals)
            # While the storage is down for long the oldest are let go.
            del self._refusals[:-DENIALS_KEPT]
            self._has_new_refusals = self._has_new_refusals or bool(refusals)

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        return self._usage.read(key_ids)

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        """Refusals in the order of their times. What another process wrote late may come before a
        serial that was shown already."""
        with self._turn:
            own, path = list(self._refusals), self._path(self._part)
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
        written = self._usage.write()
        with self._turn:
            refusals, has_new = list(self._refusals), self._has_new_refusals
            self._has_new_refusals = False
        if has_new:
            self._save_refusals(refusals)
        if written is not None and steady() >= self._tidy_at:
            self._tidy(written)

    def _save_refusals(self, refusals: Sequence[Refusal]) -> None:
        try:
            self._storage.replace(self._path(self._part), notes.written(refusals))
        except KeyrackError:
            self._has_new_refusals = True
            raise
        if len(refusals) >= PART:
            with self._turn:
                del self._refusals[: len(refusals)]
                self._part += 1
            self._storage.remove(self._path(self._part - PARTS_KEPT))

    def _tidy(self, just_written: str) -> None:
        """See to the notes of all processes; what time it is the storage says, and not this machine."""
        self._tidy_at = steady() + TIDY_SECONDS
        try:
            tidy(self._storage, just_written)
        except KeyrackError as error:
            log.warning("notes were not put together: %s", error.detail)

    def _path(self, part: int) -> str:
        return path_of(Place.DENIALS, f"{self._process}-{part}")
