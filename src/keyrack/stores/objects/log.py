"""The log as objects: read up to its end, and the end moved by whoever writes the next number first.

Nothing is believed that does not stand right behind what was read before: each commit names the hash of
the one before it, and the last one is looked at again each time nothing newer is there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from keyrack.core.errors import Corrupted, Tampered, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.follower import steady
from keyrack.stores.objects.checkpoints import newest_state
from keyrack.stores.objects.commits import Commits
from keyrack.stores.objects.documents import Commit, Position
from keyrack.stores.objects.frozen import Frozen
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.state import State
from keyrack.stores.objects.storage import Found, Storage

LOOK_AROUND_SECONDS = 10.0
"""How often a reader looks whether there is anything behind a number that is missing."""


class ObjectLog:
    """The commits in a storage, and the state that they add up to."""

    def __init__(
        self, storage: Storage, peppers: Peppers, *, look_around_seconds: float = LOOK_AROUND_SECONDS
    ):
        self._storage = storage
        self._peppers = peppers
        self._commits = Commits(storage, peppers)
        self._state: State | None = None
        self._tag = ""
        self._lock = threading.RLock()
        self._loading = threading.Lock()
        self._planning = False
        self._look_around_seconds = look_around_seconds
        self._looked_at = steady()

    def catch_up(self) -> None:
        """Read what is new, and see that what was read last still stands."""
        if self._is_planning_here():
            return
        self._load()
        while self._read_next():
            pass
        self._require_end()
        self._look_around()

    @contextmanager
    def now(self) -> Iterator[State]:
        """The state up to the end of the log. It stays as it is until `with` is left, so do nothing slow."""
        self.catch_up()
        with self._lock:
            yield self._known()

    @contextmanager
    def frozen(self) -> Iterator[Frozen]:
        """The state up to the end of the log, as it is at this instant, while commits go on."""
        with self.now() as state:
            frozen = Frozen(state, self._lock)
        try:
            yield frozen
        finally:
            frozen.release()

    @contextmanager
    def planning(self) -> Iterator[State]:
        """The state as it was read, for a plan: what that reads through the store meanwhile is the same."""
        with self._lock:
            self._planning = True
            try:
                yield self._known()
            finally:
                self._planning = False

    def append(self, commit: Commit) -> bool:
        """Write a commit that was made from the state as it is, or read the one of a faster writer.

        True when it is written, durably; see `Commits.put`.
        """
        found, is_ours = self._commits.put(commit)
        self._take(commit.number, found)
        return is_ours

    def past(self, numbers: Sequence[int]) -> list[Commit]:
        """Commits of the past, read again. One whose pepper is gone is not authenticated."""
        objects = self._commits.require_all(numbers)
        return [
            self._commits.open(number, found, known_only=False)
            for number, found in zip(numbers, objects, strict=True)
        ]

    def close(self) -> None:
        """Let go of the state."""
        with self._lock:
            if self._state is not None:
                self._state.scratch.close()

    def _is_planning_here(self) -> bool:
        """Whether this thread is inside a plan: nobody else gets the lock then, and nothing may change."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._planning
        finally:
            self._lock.release()

    def _known(self) -> State:
        if self._state is None:
            raise Unavailable("The store was not read yet.")
        return self._state

    def _load(self) -> None:
        with self._loading:
            if self._state is None:
                self._state = self._loaded()

    def _loaded(self) -> State:
        state = newest_state(self._storage, self._peppers)
        if state.position.number:
            self._tag = self._require_of_commit(state).tag
        numbers = self._commits.numbers_behind(state.position.number)
        for number, found in zip(numbers, self._commits.require_all(numbers), strict=True):
            self._apply(state, number, found)
        return state

    def _require_of_commit(self, state: State) -> Found:
        """Refuse a checkpoint that does not end with the commit that it names.

        Whoever has an old pepper could seal one that ends earlier, before a revocation.
        """
        number = state.position.number
        found = self._require_same(state.position)
        entries = self._commits.open(number, found, known_only=False).batch.entries
        if entries and entries[-1] != state.last():
            raise Corrupted(path_of(Place.CHECKPOINT, number), "does not end with the commit that it names")
        return found

    def _read_next(self) -> bool:
        number = self._known().position.number + 1
        found = self._commits.find(number)
        if found is not None:
            self._take(number, found)
        return found is not None

    def _take(self, number: int, found: Found) -> None:
        with self._lock:
            state = self._known()
            # Another thread may have taken it meanwhile.
            if number == state.position.number + 1:
                self._apply(state, number, found)

    def _apply(self, state: State, number: int, found: Found) -> None:
        commit = self._commits.open(number, found)
        if commit.before != state.position.hash:
            raise Corrupted(path_of(Place.LOG, number), "does not stand behind the one before it")
        state.apply(commit, Position(number, _hash(found.data)))
        self._tag = found.tag

    def _require_end(self) -> None:
        """Refuse a log whose last commit, as far as it was read, is gone or another one."""
        with self._lock:
            position, known = self._known().position, self._tag
        if position.number == 0 or self._commits.tag(position.number) == known:
            return
        found = self._require_same(position)
        with self._lock:
            if self._known().position == position:
                self._tag = found.tag

    def _require_same(self, position: Position) -> Found:
        found = self._commits.find(position.number)
        if found is None or _hash(found.data) != position.hash:
            path, what = path_of(Place.LOG, position.number), "is gone" if found is None else "is another one"
            raise Tampered(f"{path} {what}: the store was rolled back, forked or exchanged.")
        return found

    def _look_around(self) -> None:
        """See now and then that the number which is missing is the end, and not a gap."""
        if steady() >= self._looked_at + self._look_around_seconds:
            self._commits.numbers_behind(self._known().position.number)
            self._looked_at = steady()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
