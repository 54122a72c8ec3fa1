"""How soon a node on PostgreSQL knows: told, not told, cut off, and with the server gone and back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from engine_bed import OPERATOR
from patience import eventually, seconds_until, soon
from servers.postgresql import PostgresServer

from keyrack import Access, Denied, Issuer, Unavailable, Verifier, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.core.errors import Conflict
from keyrack.core.model import Reason
from keyrack.stores.clock import StoreClock
from keyrack.stores.sql.postgres import LIMITS, PostgresKeys
from keyrack.stores.sql.postgres_database import PostgresDatabase
from keyrack.testing import PEPPERS, FixedClock

MAX_STALE = 1.0
LISTENERS = (
    "FROM pg_stat_activity WHERE query ~ '^LISTEN|clock_timestamp.*log.body' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def issuer(postgresql_url: str) -> Iterator[Issuer]:
    """Whoever changes the store, and tells no node of it but by the store."""
    stores = open_stores(postgresql_url, peppers=PEPPERS, create=True)
    found(stores, max_stale=MAX_STALE)
    yield Issuer(stores)
    stores.close()


def minted(issuer: Issuer, node: Verifier) -> tuple[str, str]:
    """The id and the text of a new key that this node lets pass."""
    made = issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR)
    eventually(lambda: passes(node, str(made.secret)))
    return made.key.id, str(made.secret)


def passes(node: Verifier, text: str) -> bool:
    return verdict(node, text) is None


def verdict(node: Verifier, text: str) -> Reason | None:
    decision = node.verify(text, Access())
    return decision.reason if isinstance(decision, Denied) else None


def seen_after(issuer: Issuer, node: Verifier) -> float:
    """How many seconds after a revocation was committed this node obeys it."""
    key_id, text = minted(issuer, node)
    issuer.revoke(key_id, by=OPERATOR)
    return seconds_until(lambda: verdict(node, text) is Reason.REVOKED)


def test_a_revocation_is_announced_and_needs_no_poll(issuer: Issuer, postgresql_url: str) -> None:
    with Verifier.open(postgresql_url, peppers=PEPPERS, poll=0.9) as node:
        soon(lambda: seen_after(issuer, node), within=0.1)


def test_a_revocation_that_is_not_announced_is_seen_within_a_second(
    issuer: Issuer, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresKeys, "pushed", lambda keys: False)
    with Verifier.open(postgresql_url, peppers=PEPPERS) as node:
        for _ in range(3):
            soon(lambda: seen_after(issuer, node), within=1.0)


def test_a_node_whose_listening_is_cut_again_and_again_still_sees_a_revocation_within_a_second(
    issuer: Issuer, postgresql_url: str, postgresql: PostgresServer
) -> None:
    def seen_after_a_cut() -> float:
        key_id, text = minted(issuer, node)
        eventually(lambda: postgresql.run(f"SELECT pg_terminate_backend(pid) {LISTENERS}") == [(True,)])
        issuer.revoke(key_id, by=OPERATOR)
        return seconds_until(lambda: verdict(node, text) is Reason.REVOKED)

    with Verifier.open(postgresql_url, peppers=PEPPERS) as node:
        for _ in range(3):
            soon(seen_after_a_cut, within=1.0)


def test_nothing_is_told_of_a_change_that_was_refused(issuer: Issuer, postgresql_url: str) -> None:
    keys = open_stores(postgresql_url, peppers=PEPPERS).keys
    assert isinstance(keys, PostgresKeys)
    keys.moved()
    key = issuer.mint(Wish("only", unique="tenant"), by=OPERATOR).key
    eventually(keys.pushed)
    with pytest.raises(Conflict):
        issuer.mint(Wish("only", unique="tenant"), by=OPERATOR)
    assert not keys.pushed()
    issuer.revoke(key.id, by=OPERATOR)
    eventually(keys.pushed)
    keys.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_without_its_server_a_node_decides_nothing_and_with_it_again_within_two_seconds(
    issuer: Issuer, postgresql_url: str, postgresql: PostgresServer, how: signal.Signals
) -> None:
    def decides_for(text: str) -> float:
        """How long it decides without its server, which is there again afterwards."""
        postgresql.stop(how)
        try:
            took = seconds_until(lambda: verdict(node, text) is Reason.STALE)
            with pytest.raises(Unavailable):
                issuer.mint(Wish("n"), by=OPERATOR)
            assert verdict(node, text) is Reason.STALE
        finally:
            postgresql.start()
        return took

    def ready_after() -> float:
        _, text = minted(issuer, node)
        soon(lambda: decides_for(text), within=MAX_STALE + 1)
        return seconds_until(lambda: passes(node, text))

    with Verifier.open(postgresql_url, peppers=PEPPERS) as node:
        soon(ready_after, within=2.0)
        assert minted(issuer, node)


def test_a_waiting_revocation_returns_when_the_other_node_has_obeyed_it(
    issuer: Issuer, postgresql_url: str
) -> None:
    with (
        Verifier.open(postgresql_url, peppers=PEPPERS, create=True) as here,
        Verifier.open(postgresql_url, peppers=PEPPERS) as there,
    ):

        def waited() -> float:
            key_id, text = minted(here.issuer(), there)
            begun = time.monotonic()
            here.issuer().revoke(key_id, by=OPERATOR, wait=True)
            assert not passes(there, text)
            assert not passes(here, text)
            return time.monotonic() - begun

        for _ in range(3):
            soon(waited, within=MAX_STALE)  # at the end of which it would return anyway


@pytest.mark.parametrize("off", [-60, 60])
def test_a_node_goes_by_the_clock_of_its_store(issuer: Issuer, postgresql_url: str, off: int) -> None:
    clock = StoreClock(lambda: time.time() + off)
    with closing(PostgresDatabase(postgresql_url, LIMITS)) as database:
        keys = PostgresKeys(database, clock)
        assert keys.moved()
        assert abs(clock() - time.time()) < 30
        assert not keys.moved()
        keys.close()


def test_a_node_whose_clock_is_far_off_is_not_confirmed(issuer: Issuer, postgresql_url: str) -> None:
    with closing(PostgresDatabase(postgresql_url, LIMITS)) as database:
        keys = PostgresKeys(database, StoreClock(lambda: time.time() - 3600))
        with pytest.raises(Unavailable, match="clock"):
            keys.moved()
        keys.close()


def test_a_store_tells_the_time_unless_another_clock_was_given(postgresql_url: str) -> None:
    for given, kind in ((None, StoreClock), (FixedClock(), FixedClock)):
        clock = {} if given is None else {"clock": given}
        with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True, **clock)) as stores:
            assert isinstance(stores.clock, kind)
