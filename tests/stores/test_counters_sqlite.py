"""What Counters in a file must bear beyond the contract: processes, damage, and a file that goes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from patience import PATIENCE_SECONDS

from keyrack.core.errors import Unavailable
from keyrack.core.model import Limit
from keyrack.stores import counters_file
from keyrack.stores.counters import Spend
from keyrack.stores.counters_sqlite import SqliteCounters

NOW = 1_700_000_000.0
LIMIT = Limit("shared", 500, 60)
ONE = [Spend("key/a", LIMIT, 1)]
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters.db"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is counted and not of how soon: on a busy machine 250 ms are easily over."""
    monkeypatch.setattr(counters_file, "BUSY_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def counters(path: Path) -> Iterator[SqliteCounters]:
    opened = SqliteCounters(path)
    yield opened
    opened.close()


def take_many(path: Path, tries: int) -> int:
    counters = SqliteCounters(path)
    granted = sum(counters.take(ONE, NOW).ok for _ in range(tries))
    counters.close()
    return granted


def take_all(counters: SqliteCounters) -> None:
    for _ in range(500):
        counters.take(ONE, NOW)


def left(counters: SqliteCounters) -> int:
    return counters.peek(ONE, NOW).rates[0].remaining


@pytest.mark.spec("CI-93", "CO-39", "LL-61")
def test_four_processes_together_get_exactly_the_limit(path: Path) -> None:
    assert sum(taken_by_four(path, 250)) == 500
    assert [file.name for file in path.parent.iterdir()] == ["counters.db"]


def taken_by_four(path: Path, tries: int) -> list[int]:
    """How much each of four processes got that make the file, and take, at the same moment."""
    ready, granted = SPAWN.Barrier(4), SPAWN.SimpleQueue()
    processes = [SPAWN.Process(target=take_when_ready, args=(ready, granted, path, tries)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    return [granted.get() for _ in processes]


def take_when_ready(ready: Barrier, granted: SimpleQueue[int], path: Path, tries: int) -> None:
    counters_file.BUSY_SECONDS = PATIENCE_SECONDS
    ready.wait()
    granted.put(take_many(path, tries))


def test_connections_see_the_same_counts(counters: SqliteCounters, path: Path) -> None:
    counters.take(ONE, NOW)
    assert take_many(path, 1) == 1
    assert left(counters) == 498


def test_the_file_is_readable_by_its_owner_alone(counters: SqliteCounters, path: Path) -> None:
    counters.take(ONE, NOW)
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(["counters.db", "counters.db-wal", "counters.db-shm"], "0o600")


def test_counts_outlive_a_process(path: Path) -> None:
    take_many(path, 30)
    assert take_many(path, 500) == 470


def test_a_process_that_was_killed_leaves_what_it_took(path: Path) -> None:
    process = SPAWN.Process(target=take_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert take_many(path, 500) == 480


def take_and_die(path: Path) -> None:
    counters = SqliteCounters(path)
    for _ in range(20):
        counters.take(ONE, NOW)
    os._exit(9)


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_a_file_that_holds_no_counters_is_unavailable_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Unavailable):
        SqliteCounters(path)
    assert path.read_bytes() == content


def test_another_database_is_not_written_to(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE something (else_ TEXT)")
    with pytest.raises(Unavailable):
        SqliteCounters(path)


def test_a_directory_that_is_missing_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        SqliteCounters(tmp_path / "missing" / "counters.db")


def test_a_file_that_was_damaged_while_open_is_unavailable(counters: SqliteCounters, path: Path) -> None:
    counters.take(ONE, NOW)
    counters.close()
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(3 * 4096))
    with pytest.raises(Unavailable):
        counters.take(ONE, NOW)


def test_a_damaged_window_is_unavailable_and_no_other(counters: SqliteCounters, path: Path) -> None:
    counters.take(ONE, NOW)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE windows SET state = x'00'")
    with pytest.raises(Unavailable):
        counters.take(ONE, NOW)
    assert counters.take([Spend("key/b", LIMIT, 1)], NOW).ok


def test_a_disk_that_takes_no_more_is_unavailable_until_it_does(counters: SqliteCounters) -> None:
    counters.take(ONE, NOW)
    with no_file_grows(), pytest.raises(Unavailable):
        take_all(counters)
    before = left(counters)
    assert before > 0
    assert counters.take(ONE, NOW).rates[0].remaining == before - 1


@contextmanager
def no_file_grows() -> Iterator[None]:
    """A full disk, which unlike the rights of a file root feels as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_only_be_read_is_unavailable() -> None:
    with TemporaryDirectory() as name:
        directory, path = Path(name), Path(name, "counters.db")
        counters = SqliteCounters(path)
        counters.close()
        with read_only(directory, path), pytest.raises(Unavailable):
            counters.take(ONE, NOW)
        assert counters.take(ONE, NOW).ok
        counters.close()


@contextmanager
def read_only(directory: Path, path: Path) -> Iterator[None]:
    """Rights that a test run as root would not feel either, unless it gives up being root."""
    path.chmod(0o444)
    directory.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        directory.chmod(0o700)
        path.chmod(0o600)


def test_a_lock_that_is_held_is_unavailable_after_a_quarter_second(
    counters: SqliteCounters, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(counters_file, "BUSY_SECONDS", 0.25)
        with pytest.raises(Unavailable):
            counters.take(ONE, NOW)
        other.execute("ROLLBACK")
        assert counters.take(ONE, NOW).ok


def test_threads_that_cannot_get_their_turn_are_unavailable(
    counters: SqliteCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters_file, "BUSY_SECONDS", 0.25)
    refused: list[Unavailable] = []

    def take() -> None:
        with pytest.raises(Unavailable) as caught:
            counters.take(ONE, NOW)
        refused.append(caught.value)

    thread = threading.Thread(target=take)
    with counters._file._lock:
        thread.start()
        thread.join()
    assert [error.reason for error in refused] == ["store_down"]


@pytest.mark.parametrize("parts", [["counters.db"], ["counters.db", "counters.db-wal", "counters.db-shm"]])
def test_a_file_that_was_removed_is_noticed_by_every_process(
    counters: SqliteCounters, path: Path, parts: list[str]
) -> None:
    counters.take([Spend("key/a", LIMIT, 400)], NOW)
    other = SqliteCounters(path)
    for name in parts:
        path.with_name(name).unlink()
    for _ in range(10):
        counters.take(ONE, NOW)
        other.take(ONE, NOW)
    assert path.exists()
    before = left(counters)
    assert left(other) == before
    other.take(ONE, NOW)
    assert left(counters) == before - 1
    other.close()


def test_a_file_that_another_process_made_first_is_taken_as_it_is(
    counters: SqliteCounters, path: Path
) -> None:
    counters.take(ONE, NOW)
    counters_file.make(path)
    assert left(counters) == 499


def test_a_forked_process_may_not_use_the_connection(path: Path) -> None:
    process = SPAWN.Process(target=fork_and_take, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert take_many(path, 500) == 499


def fork_and_take(path: Path) -> None:
    counters = SqliteCounters(path)
    counters.take(ONE, NOW)
    child = os.fork()
    if child == 0:
        with suppress(Unavailable):
            counters.take(ONE, NOW)
            os._exit(4)
        os._exit(3)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_rows_are_counted_right_when_stale_ones_are_dropped(counters: SqliteCounters, path: Path) -> None:
    for number in range(3_000):
        counters.take([Spend(f"key/{number}", LIMIT, 1)], NOW)
    for _ in range(30):
        counters.take(ONE, NOW + 130)
    counters.close()
    with closing(sqlite3.connect(path)) as other:
        rows = other.execute("SELECT count(*) FROM windows").fetchone()
        size = other.execute("SELECT entries FROM size").fetchone()
    assert rows == size == (1,)
