"""Servers on one PostgreSQL store, as on two machines: what one does, the other knows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from patience import eventually, seconds_until, soon
from server_bed import Caller, Founded, found_store
from server_process import Running, serving
from servers.postgresql import PostgresServer

from keyrack.upkeep import SETTLE_SECONDS

MAX_STALE = 10.0
LIMIT = {"name": "minute", "limit": 10, "window_seconds": 60}


@pytest.fixture(scope="module")
def founded(postgresql: PostgresServer) -> Founded:
    return found_store(postgresql.new_url(), max_stale=MAX_STALE)


@pytest.fixture(scope="module")
def two(founded: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Two servers that have nothing in common but the store; one of them has two workers."""
    with ExitStack() as stack:
        homes = [tmp_path_factory.mktemp("home") for _ in range(2)]
        settings = [founded.settings | {"KEYRACK_WORKERS": count} for count in ("1", "2")]
        yield [stack.enter_context(serving(*each)) for each in zip(settings, homes, strict=True)]


@pytest.fixture
def callers(two: list[Running], founded: Founded) -> Iterator[list[Caller]]:
    with ExitStack() as stack:
        yield [Caller(stack.enter_context(one.client(founded.root))) for one in two]


def asked(running: Running, text: str) -> int:
    """The status that one of its workers answers to the holder of a key."""
    with running.client(text) as client:
        return client.get("/v1/me").status_code


def test_a_key_minted_on_one_server_is_usable_on_the_other_when_that_is_answered(
    two: list[Running], callers: list[Caller]
) -> None:
    for _ in range(5):
        began = time.monotonic()
        texts = [caller.mint("logs:read")["secret"] for caller in callers]
        # A change waits for the other nodes, but not for ever for one that stands still.
        has_settled = time.monotonic() - began < SETTLE_SECONDS
        assert [asked(one, text) for one in two for text in texts] == [200] * 4 or not has_settled


def test_a_revocation_that_waits_is_obeyed_by_both_when_it_is_answered(
    two: list[Running], callers: list[Caller]
) -> None:
    def answered_after(caller: Caller) -> float:
        key = caller.mint("logs:read")
        begun = time.monotonic()
        assert caller("POST", f"/v1/keys/{key['id']}/revoke", {"wait": True}).status_code == 200
        took = time.monotonic() - begun
        assert [asked(one, key["secret"]) for one in two for _ in range(3)] == [401] * 6
        return took

    for caller in callers:
        soon(partial(answered_after, caller), within=MAX_STALE * 0.8)  # not at the end of max_stale


def test_one_limit_is_one_limit_on_both(two: list[Running], callers: list[Caller]) -> None:
    key = callers[0].mint("logs:read", limits=[LIMIT])
    assert [asked(two[turn % 2], key["secret"]) for turn in range(14)] == [200] * 10 + [429] * 4


def test_use_and_refusals_of_both_are_read_on_either(two: list[Running], callers: list[Caller]) -> None:
    key = callers[0].mint("logs:read")
    callers[0]("POST", f"/v1/keys/{key['id']}/disable")
    for one in two:
        eventually(lambda: asked(one, key["secret"]) == 401)  # noqa: B023

    def refused() -> list[str]:
        found = callers[1]("GET", f"/v1/denials?tenant={key['tenant']}&limit=100").json()["data"]
        return [one["reason"] for one in found if one["key_id"] == key["id"]]

    eventually(lambda: refused() == ["disabled", "disabled"])


def test_without_their_database_servers_answer_503_and_with_it_again_within_two_seconds(
    two: list[Running], callers: list[Caller], postgresql: PostgresServer
) -> None:
    key = callers[0].mint("logs:read")

    def back_after() -> float:
        postgresql.stop()
        try:
            assert callers[0]("POST", "/v1/keys", {"name": "k"}).status_code == 503
            eventually(lambda: [asked(one, key["secret"]) for one in two] == [503, 503])
        finally:
            postgresql.start()
        return seconds_until(lambda: {asked(one, key["secret"]) for one in two for _ in range(3)} == {200})

    soon(back_after, within=2.0)
    assert all("Traceback" not in one.output for one in two)
