"""The log as objects: read up to its end, and the end moved by whoever writes the next number first.

Nothing is believed that does not stand right behind what was read before: each commit names the hash of
the one before it, and the last one is looked at again each time nothing newer is there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from keyrack.core.errors import Corrupted, Tampered, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.follower import steady
from keyrack.stores.objects.checkpoints import newest_state
from keyrack.stores.objects.documents import Commit, Position, read_commit, write_commit
from keyrack.stores.objects.envelope import open_document, seal_document
from keyrack.stores.objects.paths import Place, number_of, path_of
from keyrack.stores.objects.state import State
from keyrack.stores.objects.storage import Found, Storage

LOOK_AROUND_SECONDS = 10.0
"""How often a reader looks whether there is anything behind a number that is missing."""
AT_ONCE = 16
"""How many objects are asked for at a time when many are needed."""
ATTEMPTS = 2
"""How often a commit is put whose result is not known; the same bytes again do no harm."""
T = TypeVar("T")


class ObjectLog:
    """The commits in a storage, and the state that they add up to."""

    def __init__(
        self, storage: Storage, peppers: Peppers, *, look_around_seconds: float = LOOK_AROUND_SECONDS
    ):
        self.storage = storage
        self._peppers = peppers
        self._state: State | None = None
        self._lock = threading.RLock()
        self._loading = threading.Lock()
        self._planning = False
        self._tag = ""
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
        """The state up to the end of the log. It stays as it is until `with` is left, so do no I/O."""
        self.catch_up()
        with self._lock:
            yield self._known()

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
        """Write a commit that was made from the state as it is; False when another writer was first, whose
        commit is read then.

        Durable on return. Raises Unavailable when it cannot be written, or when nobody knows whether it
        was: then it is there at the next look, or never.
        """
        path = path_of(Place.LOG, commit.number)
        data = seal_document(path, write_commit(commit), self._peppers.first)
        found = self._put(path, data)
        self._take(commit.number, found)
        return found.data == data

    def commits(self, numbers: Sequence[int]) -> list[Commit]:
        """Commits of the past, read again. One whose pepper is gone is not authenticated."""
        return self._at_once(self._old, numbers)

    def _put(self, path: str, data: bytes) -> Found:
        """Put a document; what stands there afterwards."""
        for _ in range(ATTEMPTS):
            tag = self._put_once(path, data)
            if tag is not None:
                return Found(data, tag)
            # Refused because one is there: another's, or our own, whose answer was lost.
            if (found := self.storage.get(path)) is not None:
                return found
        raise Unavailable("The change could not be written, or nobody knows whether it was.")

    def _put_once(self, path: str, data: bytes) -> str | None:
        try:
            return self.storage.put(path, data)
        except Unavailable:
            return None

    def _known(self) -> State:
        if self._state is None:
            raise Unavailable("The store was not read yet.")
        return self._state

    def _is_planning_here(self) -> bool:
        """Whether this thread is inside a plan: nobody else gets the lock then, and nothing may change."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._planning
        finally:
            self._lock.release()

    def _load(self) -> None:
        with self._loading:
            if self._state is None:
                self._state = self._loaded()

    def _loaded(self) -> State:
        state = newest_state(self.storage, self._peppers)
        if state.position.number:
            self._tag = self._require_of_commit(state).tag
        for number, found in self._tail(state.position.number):
            self._apply(state, number, found)
        return state

    def _require_of_commit(self, state: State) -> Found:
        """Refuse a checkpoint that does not end with the commit that it names.

        Whoever has an old pepper could seal one that ends earlier, before a revocation.
        """
        number = state.position.number
        found = self._require_same(state.position)
        entries = self._commit_of(number, found).batch.entries
        if entries and entries[-1] != state.last():
            raise Corrupted(path_of(Place.CHECKPOINT, number), "does not end with the commit that it names")
        return found

    def _tail(self, number: int) -> list[tuple[int, Found]]:
        """The commits behind a number, as far as a listing shows them without a gap."""
        numbers = self._numbers_behind(number)
        return list(zip(numbers, self._at_once(self._required, numbers), strict=True))

    def _numbers_behind(self, number: int) -> range:
        """The numbers that follow on this one. Raises Corrupted when one is missing before later ones."""
        listed = self.storage.list(Place.LOG.folder, after=path_of(Place.LOG, number))
        end = number
        for found in (number_of(one.path) for one in listed):
            if found is not None and found != end + 1:
                # A directory is not listed at one instant: what was made meanwhile may be there after all.
                self._required(end + 1)
                break
            end = end if found is None else found
        return range(number + 1, end + 1)

    def _required(self, number: int) -> Found:
        path = path_of(Place.LOG, number)
        found = self.storage.get(path)
        if found is None:
            raise Corrupted(path, "is missing, and there are later ones")
        return found

    def _read_next(self) -> bool:
        number = self._known().position.number + 1
        found = self.storage.get(path_of(Place.LOG, number))
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
        path = path_of(Place.LOG, number)
        commit = read_commit(path, open_document(path, found.data, self._peppers))
        if (commit.number, commit.before) != (number, state.position.hash):
            raise Corrupted(path, "does not stand behind the one before it")
        state.apply(commit, Position(number, _hash(found.data)))
        self._tag = found.tag

    def _require_end(self) -> None:
        """Refuse a log whose last commit, as far as it was read, is gone or another one."""
        with self._lock:
            position, known = self._known().position, self._tag
        if position.number == 0 or self.storage.tag(path_of(Place.LOG, position.number)) == known:
            return
        found = self._require_same(position)
        with self._lock:
            if self._known().position == position:
                self._tag = found.tag

    def _require_same(self, position: Position) -> Found:
        path = path_of(Place.LOG, position.number)
        found = self.storage.get(path)
        if found is None or _hash(found.data) != position.hash:
            what = "is gone" if found is None else "is another one"
            raise Tampered(f"{path} {what}: the store was rolled back, forked or exchanged.")
        return found

    def _look_around(self) -> None:
        """See now and then that the number which is missing is the end, and not a gap."""
        if steady() < self._looked_at + self._look_around_seconds:
            return
        self._numbers_behind(self._known().position.number)
        self._looked_at = steady()

    def _old(self, number: int) -> Commit:
        return self._commit_of(number, self._required(number))

    def _commit_of(self, number: int, found: Found) -> Commit:
        path = path_of(Place.LOG, number)
        return read_commit(path, open_document(path, found.data, self._peppers, known_only=False))

    def _at_once(self, work: Callable[[int], T], numbers: Sequence[int]) -> list[T]:
        if len(numbers) < 2:
            return [work(number) for number in numbers]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="keyrack-objects") as pool:
            return list(pool.map(work, numbers))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
