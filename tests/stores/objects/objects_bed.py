"""A store in a directory: its objects for a test to spoil, a storage that fails, and nodes on both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from keyrack import Access, Authority, Denied, Issuer, Policy, Unavailable, Wish
from keyrack.admin.founding import found
from keyrack.core.peppers import Peppers
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.follower import Follower
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.journal import ObjectJournal
from keyrack.stores.objects.keys import ObjectKeys
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Found, Listed, Storage
from keyrack.stores.opened import Stores
from keyrack.testing import PEPPERS, FixedClock
from keyrack.verifier import Verifier

BY = Authority.operator("tests")
T = TypeVar("T")


class Files:
    """The objects below a root, by number and by path, in the hands of somebody with nothing but them."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(exist_ok=True)

    def commit(self, number: int) -> Path:
        return self.root / path_of(Place.LOG, number)

    def commits(self) -> list[Path]:
        return sorted(self.commit(1).parent.iterdir())

    def checkpoint(self, number: int) -> Path:
        return self.root / path_of(Place.CHECKPOINT, number)

    def pages(self) -> list[Path]:
        return sorted((self.root / Place.PAGE.folder).iterdir())

    def all(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def put(self, path: Path, data: bytes) -> None:
        """Put another object in the place of one, or a new one."""
        path.unlink(missing_ok=True)
        path.write_bytes(data)


class MoodyStorage:
    """A storage that counts what it is asked, and fails as it is told to; otherwise as the one inside."""

    def __init__(self, inside: Storage):
        self._inside = inside
        self.asked: list[tuple[str, str]] = []
        self.refuses: set[tuple[str, str]] = set()
        """What fails and is not done, by operation and folder."""
        self.silent: set[tuple[str, str]] = set()
        """What is done and fails to say so."""
        self.last: set[tuple[str, str]] = set()
        """What is done, and after which nothing works any more, its answer included."""
        self.calls_left: int | None = None
        """After how many calls nothing works any more."""
        self.holds: dict[tuple[str, str], threading.Event] = {}
        """What waits until the event is set, and then fails as after its time limit."""

    def get(self, path: str) -> Found | None:
        return self._do("get", path, lambda: self._inside.get(path))

    def tag(self, path: str) -> str | None:
        return self._do("tag", path, lambda: self._inside.tag(path))

    def written_at(self, path: str) -> float | None:
        return self._do("written_at", path, lambda: self._inside.written_at(path))

    def list(self, folder: str, *, after: str = "") -> Sequence[Listed]:
        return self._do("list", folder, lambda: self._inside.list(folder, after=after))

    def put(self, path: str, data: bytes) -> str | None:
        return self._do("put", path, lambda: self._inside.put(path, data))

    def replace(self, path: str, data: bytes) -> None:
        self._do("replace", path, lambda: self._inside.replace(path, data))

    def remove(self, path: str) -> None:
        self._do("remove", path, lambda: self._inside.remove(path))

    def close(self) -> None:
        self._inside.close()

    def cut(self) -> None:
        """Nothing works any more."""
        operations = ("get", "tag", "written_at", "list", "put", "replace", "remove")
        folders = ("log", "checkpoint", "page", "usage", "denials", "probe", ".settings")
        self.refuses = {(operation, folder) for operation in operations for folder in folders}

    def mend(self) -> None:
        """All works again."""
        self.refuses, self.silent, self.last, self.holds = set(), set(), set(), {}

    def _do(self, operation: str, path: str, work: Callable[[], T]) -> T:
        self.asked.append((operation, path))
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Unavailable("The storage failed.")
        what = (operation, path.partition("/")[0])
        if what in self.holds:
            self.holds[what].wait(30)
            raise Unavailable("The storage did not answer in time.")
        if what in self.refuses:
            raise Unavailable("The storage failed.")
        done = work()
        if what in self.last:
            self.cut()
            raise Unavailable("The storage did not answer.")
        if what in self.silent:
            raise Unavailable("The storage did not answer.")
        return done


class Node:
    """One process's view of a store: it writes, and it follows when it is told to."""

    def __init__(
        self,
        storage: Storage,
        *,
        peppers: str = PEPPERS,
        clock: FixedClock | None = None,
        max_keys: int | None = None,
    ):
        given = Peppers.parse(peppers)
        self.clock = clock or FixedClock()
        self.keys = ObjectKeys(storage, given, look_around_seconds=0)
        journal = ObjectJournal(storage, clock=self.clock)
        self.stores = Stores("file:", self.keys, journal, MemoryCounters(), given, self.clock)
        self.issuer = Issuer(self.stores)
        self.follower = Follower(self.keys, given, Policy(), max_keys=max_keys)

    def mint(self, name: str = "n") -> tuple[str, str]:
        """The id and the text of a new key."""
        minted = self.issuer.mint(Wish(name, scopes=("a:b",)), by=BY)
        return minted.key.id, str(minted.secret)


def founded(root: Path) -> Node:
    """A node on a new store in this directory, loaded."""
    root.mkdir(exist_ok=True)
    node = Node(Directory(root))
    found(node.stores)
    node.follower.load()
    return node


def verdict(verifier: Verifier, text: str) -> str:
    """`ok`, or the exact reason of the refusal."""
    decision = verifier.verify(text, Access(("a:b",)))
    return decision.reason.value if isinstance(decision, Denied) else "ok"
