"""What still works while something that a node needs does not; docs/reference/degradation.md in tests."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engine_bed import OPERATOR, Bed
from outages import KINDS, Outage, outage
from patience import eventually
from servers.ports import free_port
from servers.redis import RedisServer

from keyrack import Access, Denied, Limit, Unavailable, Verifier, Wish
from keyrack.core.credential import write
from keyrack.core.errors import KeyrackError
from keyrack.server.readiness import readiness
from keyrack.stores.sql import sqlite
from keyrack.testing import PEPPERS

UNKNOWN = write("kr", "live", "0" * 12, "A" * 32)
LIMITS = [Limit("m", 1_000, 60)]


class Node(NamedTuple):
    """A node that was well, and the keys that it knows."""

    store: Outage
    verifier: Verifier
    key_id: str
    known: str
    limited: str

    def verdict(self, text: str) -> str:
        """`ok`, or the exact reason of the refusal."""
        decision = self.verifier.verify(text, Access(("a:b",)))
        return decision.reason.value if isinstance(decision, Denied) else "ok"

    def changes(self) -> dict[str, Callable[[], object]]:
        """One of each kind of change of a key, by name."""
        issuer, by = self.verifier.issuer(), OPERATOR
        return {
            "mint": lambda: issuer.mint(Wish("n"), by=by),
            "rotate": lambda: issuer.rotate(self.key_id, by=by),
            "revoke": lambda: issuer.revoke(self.key_id, by=by),
            "revoke and wait": lambda: issuer.revoke(self.key_id, by=by, wait=True),
        }


@pytest.fixture(scope="module", params=KINDS)
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node whose store has just been taken away, and stays away."""
    with outage(request.param, tmp_path_factory.mktemp(request.param)) as store:
        node = well(store, max_stale=3_600.0)
        store.cut()
        eventually(lambda: node.verifier.trouble)
        yield node
        node.verifier.close()


@pytest.fixture(scope="module")
def stale(cut: Node) -> Iterator[Node]:
    """The same node once it has not been confirmed for max_stale."""
    follower = cut.verifier.follower
    allowed, follower.max_stale = follower.max_stale, -1.0
    yield cut
    follower.max_stale = allowed


def well(store: Outage, *, counters: str = "memory:", max_stale: float | None = None) -> Node:
    verifier = Verifier.open(
        store.url, peppers=PEPPERS, counters=counters, create=True, max_stale=max_stale, poll=0.1
    )
    issuer = verifier.issuer()
    plain = issuer.mint(Wish("plain", scopes=["a:b"]), by=OPERATOR)
    limited = issuer.mint(Wish("limited", scopes=["a:b"], limits=LIMITS), by=OPERATOR)
    return Node(store, verifier, plain.key.id, str(plain.secret), str(limited.secret))


def settled(node: Node, text: str) -> Any:
    """The verdict of a node that may not have been confirmed for a moment: a busy machine stands still."""
    return eventually(lambda: (verdict := node.verdict(text)) != "stale" and verdict)


class TestStoreGone:
    """A file that was moved, a server that was stopped, a directory that was moved: for up to max_stale."""

    def test_known_keys_pass_and_limits_are_counted(self, cut: Node) -> None:
        assert [cut.verdict(text) for text in (cut.known, cut.limited)] == ["ok", "ok"]

    def test_an_id_that_no_key_has_is_unknown(self, cut: Node) -> None:
        assert cut.verdict(UNKNOWN) == "unknown"

    @pytest.mark.parametrize("what", ["mint", "rotate", "revoke", "revoke and wait"])
    def test_no_change_is_acknowledged(self, cut: Node, what: str) -> None:
        with pytest.raises(Unavailable):
            cut.changes()[what]()
        assert cut.verdict(cut.known) == "ok", "it was not made either"

    def test_the_node_is_ready_and_says_what_is_wrong(self, cut: Node) -> None:
        state = readiness(cut.verifier)
        assert (state["ready"], state["reason"]) == (True, None)
        assert state["trouble"]

    def test_no_node_starts(self, cut: Node) -> None:
        with pytest.raises(KeyrackError) as refused:
            Verifier.open(cut.store.url, peppers=PEPPERS, counters="memory:")
        assert refused.value.code in ("unavailable", "configuration_error")


class TestStoreGoneForLonger:
    """Beyond max_stale a node cannot know what was revoked meanwhile."""

    def test_nothing_is_decided_whoever_asks_with_what(self, stale: Node) -> None:
        texts = (stale.known, stale.limited, UNKNOWN, "garbage", "")
        assert [stale.verdict(text) for text in texts] == ["stale"] * 5

    def test_the_node_is_not_ready(self, stale: Node) -> None:
        state = readiness(stale.verifier)
        assert (state["ready"], state["reason"]) == (False, "stale")


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_goes_on_by_itself_when_its_store_is_back(kind: str, tmp_path: Path) -> None:
    with outage(kind, tmp_path) as store:
        # A revocation in a directory waits for all of max_stale.
        node = well(store, max_stale=2.0)
        store.cut()
        eventually(lambda: node.verifier.trouble)
        store.mend()
        eventually(lambda: node.verifier.trouble is None)
        for what in ("mint", "rotate", "revoke and wait"):
            node.changes()[what]()
        assert settled(node, node.known) == "revoked"
        node.verifier.close()


class TestStoreLocked:
    """Another process holds the SQLite file's write lock: readers do not notice, writers wait for a while."""

    @pytest.fixture
    def node(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
        with outage("sqlite", tmp_path) as store:
            made = well(store)
            made.verifier.close()
            monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
            with (
                Verifier.open(store.url, peppers=PEPPERS, counters="memory:") as verifier,
                closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as other,
            ):
                eventually(lambda: locked(other))
                yield made._replace(verifier=verifier)

    def test_decisions_are_made_and_confirmed(self, node: Node) -> None:
        texts = (node.known, node.limited, UNKNOWN)
        assert [node.verdict(text) for text in texts] == ["ok", "ok", "unknown"]
        assert node.verifier.follower.poll()

    @pytest.mark.parametrize("what", ["mint", "rotate", "revoke", "revoke and wait"])
    def test_no_change_is_acknowledged(self, node: Node, what: str) -> None:
        with pytest.raises(Unavailable):
            node.changes()[what]()
        assert node.verdict(node.known) == "ok"

    def test_the_node_is_ready(self, node: Node) -> None:
        assert readiness(node.verifier)["ready"] is True

    def test_a_node_starts_and_decides(self, node: Node) -> None:
        with Verifier.open(node.store.url, peppers=PEPPERS, counters="memory:") as another:
            assert node._replace(verifier=another).verdict(node.known) == "ok"


def locked(connection: sqlite3.Connection) -> bool:
    """Take the file's write lock, which the node's own chores may hold for a moment."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


START_ON_A_FULL_DISK = """
import resource, sys
from keyrack import Unavailable, Verifier
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Verifier.open(sys.argv[1], peppers=sys.argv[2])
except Unavailable as error:
    print(error.code)
"""


def test_no_node_starts_on_a_full_disk(tmp_path: Path) -> None:
    """It could not say that it lives, and nobody would wait for it."""
    with outage("sqlite", tmp_path) as store:
        well(store).verifier.close()
        command = [sys.executable, "-c", START_ON_A_FULL_DISK, store.url, PEPPERS]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "unavailable\n"


def test_a_service_does_not_start_without_its_server(tmp_path: Path) -> None:
    with outage("sqlite", tmp_path) as store:
        node = well(store)
        with pytest.raises(Unavailable):
            Verifier.open(f"http://127.0.0.1:{free_port()}", key=node.known)
        node.verifier.close()


class TestCountersGone:
    """Redis that is not there: what has no limit does not notice."""

    @pytest.fixture
    def node(self, tmp_path: Path) -> Iterator[Node]:
        with outage("sqlite", tmp_path) as store:
            made = well(store, counters=f"redis://127.0.0.1:{free_port()}")
            yield made
            made.verifier.close()

    def test_only_limited_keys_are_refused(self, node: Node) -> None:
        texts = (node.known, UNKNOWN, "garbage", node.limited)
        assert [node.verdict(text) for text in texts] == ["ok", "unknown", "malformed", "store_down"]

    def test_changes_are_made_and_waited_for(self, node: Node) -> None:
        for what in ("mint", "rotate", "revoke and wait"):
            node.changes()[what]()
        assert node.verdict(node.known) == "revoked"

    def test_the_node_started_and_is_ready(self, node: Node) -> None:
        state = readiness(node.verifier)
        assert (state["ready"], state["trouble"]) == (True, None)

    def test_limits_are_counted_as_soon_as_it_is_there(self, tmp_path: Path) -> None:
        redis = RedisServer(tmp_path)
        with outage("sqlite", tmp_path) as store:
            node = well(store, counters=redis.url)
            assert node.verdict(node.limited) == "store_down"
            redis.start()
            eventually(lambda: node.verdict(node.limited) == "ok")
            node.verifier.close()
        redis.close()


class TestWrongClock:
    """A clock that somebody sets moves what has a date, and neither staleness nor the order of the log."""

    YEAR_SECONDS = 366 * 86_400.0

    def test_a_leap_ahead_ends_what_is_dated_and_nothing_else(self, memory: Bed) -> None:
        _, undated = memory.mint("a:b")
        _, dated = memory.mint("a:b", expires_at=memory.at + timedelta(days=30))
        memory.clock.advance(self.YEAR_SECONDS)
        assert [memory.verdict(text) for text in (undated, dated)] == ["ok", "expired"]
        assert readiness(memory.verifier)["ready"] is True
        memory.clock.advance(-self.YEAR_SECONDS)
        assert memory.verdict(dated) == "ok"

    def test_a_leap_back_refuses_nobody_for_what_was_counted_ahead_of_it(self, memory: Bed) -> None:
        _, text = memory.mint("a:b", limits=[Limit("m", 1, 60)])
        memory.clock.advance(self.YEAR_SECONDS)
        assert [memory.verdict(text) for _ in range(2)] == ["ok", "rate"]
        memory.clock.advance(-self.YEAR_SECONDS)
        assert memory.verdict(text) == "rate"
        memory.clock.advance(121)
        assert memory.verdict(text) == "ok"

    def test_changes_behind_a_leap_back_are_made_and_obeyed(self, bed: Bed) -> None:
        minted, text = bed.mint("a:b")
        bed.clock.advance(-self.YEAR_SECONDS)
        later, _ = bed.mint("a:b")
        bed.issuer.rotate(later.key.id, by=OPERATOR)
        bed.issuer.revoke(minted.key.id, by=OPERATOR, wait=True)
        assert bed.verdict(text) == "revoked"
        again = Verifier(bed.stores)
        again.follower.load()
        assert again.follower.replica.head == bed.verifier.follower.replica.head

    def test_staleness_is_measured_on_a_clock_that_nobody_sets(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        for seconds in (self.YEAR_SECONDS, -2 * self.YEAR_SECONDS):
            memory.clock.advance(seconds)
            assert memory.verdict(text) == "ok"
            assert memory.verifier.follower.age() < memory.verifier.follower.max_stale


class TestNodeCutOff:
    """Nodes do not talk to each other; one that cannot reach the store is alone."""

    def test_when_a_waiting_revocation_returns_a_node_that_was_cut_off_decides_nothing(
        self, tmp_path: Path
    ) -> None:
        with outage("sqlite", tmp_path) as store:
            here, there = well(store, max_stale=1.0), well(store, max_stale=1.0)
            eventually(lambda: there.verdict(here.known) == "ok")
            paused(there.verifier)
            here.changes()["revoke and wait"]()
            assert there.verdict(here.known) == "stale"
            assert settled(here, here.known) == "revoked"
            here.verifier.close()
            there.verifier.close()

    def test_a_revocation_that_does_not_wait_reaches_it_never_and_ends_with_max_stale(
        self, tmp_path: Path
    ) -> None:
        with outage("sqlite", tmp_path) as store:
            here, there = well(store, max_stale=1.0), well(store, max_stale=1.0)
            eventually(lambda: there.verdict(here.known) == "ok")
            paused(there.verifier)
            here.changes()["revoke"]()
            assert settled(here, here.known) == "revoked"
            eventually(lambda: there.verdict(here.known) == "stale")
            here.verifier.close()
            there.verifier.close()


def paused(verifier: Verifier) -> None:
    """This node follows the log no more, and says nothing: as if the store were out of its reach."""
    verifier._upkeep._ending.set()
    verifier._upkeep._thread.join()
