"""Use: what this process noted, in an object of its own, and what all of them noted, put together.

An object is written by one process, anew each time, for some hours; then that process begins another one.
So what nobody wrote for a day is final, and anybody may put it together: see keyrack.stores.objects.tidying.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence

from keyrack.core.errors import KeyrackError
from keyrack.stores.follower import steady
from keyrack.stores.journal import ADDRESSES_KEPT_SECONDS, Use, latest, merged
from keyrack.stores.objects import notes
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage
from keyrack.stores.opened import Clock

WRITTEN_FOR_SECONDS = 6 * 3600.0
"""How long a process goes on writing to one object. After a write whose result nobody knows, twice as long:
then the same object is written again, so that nothing is counted twice."""

Uses = dict[tuple[str, int], Use]


class Usage:
    """The uses of one process, and a view of those of all."""

    def __init__(self, storage: Storage, clock: Clock):
        self._storage = storage
        self._clock = clock
        self._reading = notes.Reading(storage)
        self._turn = threading.Lock()
        self._writing = threading.Lock()
        """Held while an object is written, without `_turn`: meanwhile no other one is begun."""
        self._own: Uses = {}
        """What this process noted: what its object holds, and what is new."""
        self._written: Uses = {}
        self._is_changed = self._is_unsure = False
        self._path = _new_path()
        self._begun_at: float | None = None

    def add(self, uses: Iterable[Use]) -> None:
        """Note these uses, to be written."""
        with self._turn:
            for use in uses:
                self._is_changed = True
                _add(self._own, use)

    def write(self) -> str | None:
        """Write what is new; the path of the object. Raises Unavailable; then it is written the next time."""
        with self._writing:
            return self._write()

    def read(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        """What all processes noted of these keys."""
        wanted = frozenset(key_ids)
        with self._turn:
            if not self._writing.locked():
                self._begin_another_in_time()
            path = self._path
            found = {slot: use for slot, use in self._own.items() if slot[0] in wanted}
        for rows in self._reading.uses(without=path):
            for use in rows:
                if use.key_id in wanted:
                    _add(found, use)
        return found

    def _write(self) -> str | None:
        with self._turn:
            self._begin_another_in_time()
            if not self._is_changed:
                return None
            path = self._path
            uses = {slot: self._recent(use) for slot, use in self._own.items()}
            self._begun_at = steady() if self._begun_at is None else self._begun_at
            self._is_changed = False
        try:
            self._storage.replace(path, notes.written(uses.values()))
        except KeyrackError:
            self._is_changed = self._is_unsure = True
            raise
        with self._turn:
            self._written, self._is_unsure = uses, False
        return path

    def _begin_another_in_time(self) -> None:
        """Leave the object that was written for long as it is, and keep what is not in it."""
        longest = WRITTEN_FOR_SECONDS * (2 if self._is_unsure else 1)
        if self._begun_at is None or steady() < self._begun_at + longest:
            return
        self._own = {slot: new for slot, use in self._own.items() if (new := self._new_of(slot, use)).uses}
        self._written, self._is_unsure = {}, False
        self._path, self._begun_at = _new_path(), None

    def _new_of(self, slot: tuple[str, int], use: Use) -> Use:
        known = self._written.get(slot)
        return use if known is None else use._replace(uses=use.uses - known.uses)

    def _recent(self, use: Use) -> Use:
        return use._replace(seen=latest(use.seen, self._clock() - ADDRESSES_KEPT_SECONDS))


def together(rows: Iterable[Use]) -> Uses:
    """Uses by version, those of one version as one."""
    found: Uses = {}
    for use in rows:
        _add(found, use)
    return found


def _add(known: Uses, use: Use) -> None:
    slot = (use.key_id, use.number)
    known[slot] = merged(known[slot], use) if slot in known else use


def _new_path() -> str:
    return path_of(Place.USAGE, secrets.token_hex(8))
