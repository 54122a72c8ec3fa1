"""Our own trouble is 503 and never 401 or 500; it passes when its cause does, and loses nothing."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from patience import eventually, seconds_until, soon
from server_bed import Caller, Founded, make_store, problem
from server_process import Running, serving

from keyrack import open_stores
from keyrack.testing import PEPPERS

MAX_STALE = "5"
UNAVAILABLE = (503, "unavailable")
READS = ("/v1/me", "/v1/keys", "/v1/tenants", "/v1/events")


@pytest.fixture
def founded(tmp_path: Path) -> Founded:
    return make_store(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "keyrack.db"


@pytest.fixture
def running(founded: Founded, tmp_path: Path) -> Iterator[Running]:
    settings = {"KEYRACK_MAX_STALE": MAX_STALE, "KEYRACK_POLL": "0.2", "KEYRACK_INTERNAL": "127.0.0.1:0"}
    with serving(founded.settings | settings, tmp_path) as made:
        yield made
        assert not made.logged("a request failed")
        assert not made.logged("upkeep failed")
        assert "Traceback" not in made.output


@pytest.fixture
def root(running: Running, founded: Founded) -> Iterator[Caller]:
    with running.client(founded.root) as client:
        yield Caller(client)


def is_ready(running: Running) -> bool:
    return httpx.get(f"{running.internal_url}/readyz").status_code == 200


def tolerated(answer: httpx.Response, *statuses: int) -> bool:
    """Whether this is our trouble; anything but that and these statuses fails the test."""
    if answer.status_code in statuses:
        return False
    assert problem(answer) == UNAVAILABLE
    return True


def every_call_is_refused(running: Running, root: Caller, key: str) -> None:
    """Once the node has not been confirmed for max_stale, nothing is decided, whoever asks for what."""
    eventually(lambda: not is_ready(running))
    for path in READS:
        assert problem(root("GET", path)) == UNAVAILABLE
    assert problem(root("POST", "/v1/keys", {"name": "k"})) == UNAVAILABLE
    assert problem(root("POST", "/v1/verify", {"key": key})) == UNAVAILABLE
    with running.client("nonsense") as stranger:
        assert problem(stranger.get("/v1/me")) == UNAVAILABLE, "a bad key cannot be told from a good one"
    assert httpx.get(f"{running.url}/livez").status_code == 200
    state = httpx.get(f"{running.internal_url}/readyz")
    assert (state.status_code, state.json()["ready"], state.json()["reason"]) == (503, False, "stale")


LOSSES = ("unlinked", "moved", "exchanged")


def lose(path: Path, how: str) -> Path:
    """Take a file away from a running server; returns where it is now."""
    aside = path.with_name(f"{path.name}.aside")
    if how == "exchanged":
        aside.write_bytes(path.read_bytes())
        path.rename(path.with_name(f"{path.name}.old"))
        aside.rename(path)
        return path
    path.rename(aside)
    if how == "unlinked":
        aside.unlink()
    return aside


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("name", ["keyrack.db", "keyrack-journal.db"])
def test_a_file_that_is_lost(running: Running, root: Caller, store: Path, name: str, how: str) -> None:
    key = root.mint("logs:read")["secret"]
    lose(store.with_name(name), how)
    every_call_is_refused(running, root, key)
    assert (store.with_name(name)).exists() is (how == "exchanged"), "a running process makes no file"


def test_no_change_is_acknowledged_once_the_file_is_lost(running: Running, root: Caller, store: Path) -> None:
    """Not even in the seconds in which decisions are still made."""
    key = root.mint("logs:read")
    lose(store, "moved")
    for method, path, body in (
        ("POST", "/v1/keys", {"name": "k"}),
        ("POST", f"/v1/keys/{key['id']}/revoke", {"wait": True}),
        ("PATCH", f"/v1/keys/{key['id']}", {"name": "x"}),
        ("POST", "/v1/tenants", {"id": "acme"}),
    ):
        assert problem(root(method, path, body)) == UNAVAILABLE


def test_a_file_that_comes_back_makes_the_node_ready_within_two_seconds(
    running: Running, root: Caller, store: Path
) -> None:
    key = root.mint("logs:read")["secret"]

    def ready_after() -> float:
        aside = lose(store, "moved")
        every_call_is_refused(running, root, key)
        aside.rename(store)
        return seconds_until(lambda: is_ready(running))

    soon(ready_after, within=2)
    assert root.verify(key)["valid"] is True
    assert root.mint("logs:read")["status"] == "active"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the file's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_store_that_another_process_locks_for_seconds(running: Running, root: Caller, store: Path) -> None:
    key = root.mint("logs:read")["secret"]
    with locked(store):
        assert problem(root("POST", "/v1/keys", {"name": "k"})) == UNAVAILABLE
        for path in READS:
            assert root("GET", path).status_code == 200, "readers wait for no writer"
        assert root.verify(key)["valid"] is True
        assert is_ready(running)
    assert root.mint("logs:read")["status"] == "active"


def test_a_journal_that_another_process_locks_for_seconds(
    running: Running, root: Caller, store: Path, founded: Founded
) -> None:
    """A node that cannot say that it lives decides nothing: nobody would wait for it."""
    key, counted = root.mint("logs:read"), 0

    def ready_after() -> float:
        nonlocal counted
        with locked(store.with_name("keyrack-journal.db")):
            while is_ready(running):
                answer = root("POST", "/v1/verify", {"key": key["secret"]})
                counted += not tolerated(answer, 200) and answer.json()["valid"]
        return seconds_until(lambda: is_ready(running))

    soon(ready_after, within=5)
    eventually(lambda: uses(founded, key["id"]) == counted)


def uses(founded: Founded, key_id: str) -> int:
    stores = open_stores(founded.url, peppers=PEPPERS)
    try:
        return sum(use.uses for use in stores.journal.uses([key_id]).values())
    finally:
        stores.close()


@contextmanager
def full_disk(running: Running) -> Iterator[None]:
    """No file of the server grows any more: it writes into what it has, and then fails as on a full disk."""
    soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full(running: Running, root: Caller) -> None:
    """A node that cannot write that it lives decides nothing in the end, as one whose journal is locked."""
    key = root.mint("logs:read")

    def ready_after() -> float:
        with full_disk(running):
            assert root.verify(key["secret"])["valid"] is True
            for path in ("/v1/keys", f"/v1/keys/{key['id']}/rotation", f"/v1/keys/{key['id']}/revoke"):
                body = {"name": "k"} if path == "/v1/keys" else None
                assert problem(root("POST", path, body)) == UNAVAILABLE
            every_call_is_refused(running, root, key["secret"])
        return seconds_until(lambda: is_ready(running))

    soon(ready_after, within=5)
    assert root("POST", f"/v1/keys/{key['id']}/revoke").json()["status"] == "revoked"


def test_a_journal_that_cannot_be_written(running: Running, root: Caller, store: Path) -> None:
    key = root.mint("logs:read")["secret"]
    journal = store.with_name("keyrack-journal.db")

    def ready_after() -> float:
        with closing(sqlite3.connect(journal, isolation_level=None)) as other:
            other.execute(
                "CREATE TRIGGER full BEFORE INSERT ON nodes BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            )
            every_call_is_refused(running, root, key)
            other.execute("DROP TRIGGER full")
        return seconds_until(lambda: is_ready(running))

    soon(ready_after, within=2)
    assert root.verify(key)["valid"] is True


def test_a_change_is_told_even_while_use_cannot_be_read(running: Running, root: Caller, store: Path) -> None:
    """What was committed must not look as if it was not."""
    key = root.mint("logs:read")
    with closing(sqlite3.connect(store.with_name("keyrack-journal.db"), isolation_level=None)) as journal:
        journal.execute("ALTER TABLE uses RENAME TO used")
        assert root("GET", f"/v1/keys/{key['id']}").status_code == 503
        assert root("POST", "/v1/keys", {"name": "k"}).json()["secret"]
        assert root("POST", f"/v1/keys/{key['id']}/rotation").json()["secret"]
        assert root("POST", f"/v1/keys/{key['id']}/revoke").json()["status"] == "revoked"
        journal.execute("ALTER TABLE used RENAME TO uses")
    assert root("GET", f"/v1/keys/{key['id']}").status_code == 200


def test_usage_that_cannot_be_written_is_written_later(
    running: Running, root: Caller, store: Path, founded: Founded
) -> None:
    key = root.mint("logs:read")
    journal = store.with_name("keyrack-journal.db")
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON uses BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        for _ in range(5):
            assert root.verify(key["secret"])["valid"] is True
        eventually(lambda: "notes cannot be written" in running.output)
        other.execute("DROP TRIGGER full")
    eventually(lambda: uses(founded, key["id"]) == 5)

    def told() -> list[str]:
        return [line["event"].partition(":")[0] for line in running.logged_by("keyrack.upkeep")]

    eventually(lambda: told() == ["notes cannot be written", "over"])


def test_a_store_that_was_put_back_to_an_earlier_state(
    founded: Founded, running: Running, root: Caller, store: Path
) -> None:
    """Its content is older while the file is the same: refused for good, not until it is fresh again."""
    key = root.mint("logs:read")
    with closing(sqlite3.connect(store)) as earlier, closing(sqlite3.connect(":memory:")) as kept:
        earlier.backup(kept)
        assert root("POST", f"/v1/keys/{key['id']}/revoke").status_code == 200
        kept.backup(earlier)
    eventually(lambda: not is_ready(running))
    state = httpx.get(f"{running.internal_url}/readyz").json()
    assert state["reason"] == "store_down"
    assert "rolled back" in state["trouble"]
    with running.client(key["secret"]) as holder:
        assert problem(holder.get("/v1/me")) == UNAVAILABLE


def test_counters_that_cannot_be_written_refuse_what_they_limit(founded: Founded, tmp_path: Path) -> None:
    limits = [{"name": "m", "limit": 100, "window_seconds": 60}]
    counters = tmp_path / "counters.db"
    settings = founded.settings | {"KEYRACK_COUNTERS": f"sqlite:///{counters}"}
    with serving(settings, tmp_path) as running, running.client(founded.root) as client:
        root = Caller(client)
        limited, free = root.mint("logs:read", limits=limits), root.mint("logs:read")
        with running.client(limited["secret"]) as holder:
            assert holder.get("/v1/me").status_code == 200
            with locked(counters):
                assert problem(holder.get("/v1/me")) == UNAVAILABLE
                assert root.verify(limited["secret"])["code"] == "unavailable"
                assert root.verify(free["secret"])["valid"] is True
            eventually(lambda: holder.get("/v1/me").status_code == 200)
        assert "Traceback" not in running.output
