"""The file of a SQLite store: what is not ours is refused, what is gone is neither written nor made anew."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from keyrack import Authority, ConfigurationError, Issuer, Unavailable, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.stores.follower import Follower
from keyrack.stores.journal import Node
from keyrack.stores.opened import Stores
from keyrack.stores.sql import sqlite
from keyrack.testing import PEPPERS

BY = Authority.operator("tests")


def opened(path: Path, *, create: bool = False) -> Stores:
    return open_stores(f"sqlite:///{path}", peppers=PEPPERS, create=create)


def mint(stores: Stores) -> int:
    return Issuer(stores).mint(Wish("k"), by=BY).key.revision


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyrack.db"


@pytest.fixture
def stores(path: Path) -> Iterator[Stores]:
    made = opened(path, create=True)
    found(made)
    yield made
    made.close()


def test_only_its_owner_may_read_what_is_made(stores: Stores, path: Path) -> None:
    for name in ("keyrack.db", "keyrack-journal.db"):
        assert path.with_name(name).stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_beside_the_files(stores: Stores, path: Path) -> None:
    mint(stores)
    names = {one.name.removesuffix("-wal").removesuffix("-shm") for one in path.parent.iterdir()}
    assert names == {f"keyrack{what}.db" for what in ("", "-journal", "-credits", "-gateway")}


def test_what_is_no_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["missing/keyrack.db", "file/keyrack.db"])
def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be created"):
        opened(tmp_path / name, create=True)


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("something of somebody " * 100)
    with pytest.raises(Unavailable):
        opened(path)
    assert path.read_text() == "something of somebody " * 100


def unlinked(path: Path) -> None:
    path.unlink()


def moved_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def exchanged(path: Path) -> None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


def overwritten(path: Path) -> None:
    """What `cp backup.db keyrack.db` does; with the log left there it would be undone."""
    path.with_name(f"{path.name}-wal").unlink()
    path.with_name(f"{path.name}-shm").unlink()
    path.write_bytes(path.read_bytes())


LOSSES = [unlinked, moved_away, exchanged]


@pytest.mark.parametrize("lose", [*LOSSES, overwritten])
def test_a_file_that_was_lost_takes_no_change_and_confirms_nothing(
    stores: Stores, path: Path, lose: Callable[[Path], None]
) -> None:
    mint(stores)
    follower = Follower(stores.keys, stores.peppers)
    follower.load()
    lose(path)
    stood = path.exists()
    for call in (lambda: mint(stores), stores.keys.last, stores.keys.moved):
        with pytest.raises(Unavailable, match="replaced or removed"):
            call()
    assert not follower.poll()
    assert path.exists() is stood, "a process that runs makes no file"


def test_a_file_that_comes_back_is_the_store_again(stores: Stores, path: Path) -> None:
    moved_away(path)
    with pytest.raises(Unavailable):
        mint(stores)
    path.with_name("elsewhere.db").rename(path)
    assert mint(stores) > 2


@pytest.mark.parametrize("lose", LOSSES)
def test_a_journal_that_was_lost_takes_no_lease(
    stores: Stores, path: Path, lose: Callable[[Path], None]
) -> None:
    """Whoever opens the store next finds another one, and would not wait for us."""
    lose(path.with_name("keyrack-journal.db"))
    with pytest.raises(Unavailable, match="replaced or removed"):
        stores.journal.renew(Node("n", 1, b"", 1.0))
    with pytest.raises(Unavailable, match="replaced or removed"):
        stores.journal.nodes()


def test_a_file_exchanged_while_a_change_waits_is_not_acknowledged(stores: Stores, path: Path) -> None:
    def change(_: object) -> None:
        exchanged(path)

    with pytest.raises(Unavailable, match="replaced or removed"):
        stores.ledger.commit(change)


def test_a_lock_that_is_held_too_long_is_our_own_trouble(
    stores: Stores, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    with closing(opened(path)) as impatient, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="key store failed"):
            mint(impatient)
        other.execute("ROLLBACK")
        assert mint(impatient) == 3


def test_a_disk_that_is_full_is_our_own_trouble_and_loses_nothing(stores: Stores, path: Path) -> None:
    numbers = [mint(stores)]
    with stores.keys._reading() as connection:  # the pool hands the same connection out again
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(Unavailable, match="key store failed"):
        numbers.extend(mint(stores) for _ in range(1000))
    with closing(opened(path)) as again:
        last = again.keys.last()
        assert last is not None
        assert last.number == numbers[-1]


STARTING = """
import sys
from keyrack import open_stores
sys.stdin.readline()
open_stores(sys.argv[1], peppers=sys.argv[2], create=True).close()
"""


def test_processes_that_open_a_new_store_at_the_same_moment_all_succeed(path: Path) -> None:
    command = [sys.executable, "-c", STARTING, f"sqlite:///{path}", PEPPERS]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    complaints = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 6, complaints
