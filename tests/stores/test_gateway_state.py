"""One contract for what the processes of a gateway share: counts, breakers and the outbox, in every store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from keyrack import open_stores
from keyrack.stores.breakers import OPEN_AFTER, OPEN_SECONDS
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.outbox import Delivery, DeliveryState, Notice
from keyrack.stores.sends import HourUse, Refuser, VersionUse
from keyrack.testing import PEPPERS
from keyrack.testing.samples import at_once

OpenState = Callable[[], GatewayState]
NOW = 1_800_000_000.0
SERVER = "https://upstream.example"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenState]:
    """Opens the one state of a test, once more."""
    urls = {
        "memory": lambda: "memory:",
        "sqlite": lambda: f"sqlite:///{tmp_path / 'keys.db'}",
        "postgresql": lambda: request.getfixturevalue("postgresql_url"),
    }
    url = urls[request.param]()
    with ExitStack() as opened:

        def open_one() -> GatewayState:
            stores = open_stores(url, peppers=PEPPERS, create=True)
            opened.callback(stores.close)
            return stores.gateway

        first = open_one()
        yield (lambda: first) if url == "memory:" else open_one


def used(
    uses: int = 1, *, number: int = 1, refused: int = 0, leading: int = 0, at: float = NOW
) -> VersionUse:
    accepted_at, refused_at = (at if uses > refused else None), (at if refused else None)
    return VersionUse("t/g", number, uses, refused, leading, at, at, accepted_at, refused_at)


def delivery(message: str = "m", **changes: object) -> Delivery:
    return Delivery(message, "ops", "rotation.started", b"{}", NOW)._replace(**changes)


def test_uses_of_a_version_add_up_for_everybody(open_state: OpenState) -> None:
    sends, other = open_state().sends, open_state().sends
    sends.add([used(2, at=NOW), used(number=2)], [], [])
    other.add([used(3, refused=1, at=NOW + 5)], [], [])
    found = sends.uses(["t/g", "t/other"])
    assert found["t/g", 1] == VersionUse("t/g", 1, 5, 1, 0, NOW, NOW + 5, NOW + 5, NOW + 5)
    assert found["t/g", 2] == used(number=2)
    assert sends.uses(["t/other"]) == {}
    assert sends.uses([]) == {}


def test_leading_refusals_count_until_the_first_send_that_was_none(open_state: OpenState) -> None:
    sends = open_state().sends
    sends.add([used(2, refused=2, leading=2)], [], [])
    sends.add([used(3, refused=2, leading=1)], [], [])
    sends.add([used(4, refused=4, leading=4)], [], [])
    (found,) = sends.uses(["t/g"]).values()
    assert (found.uses, found.refusals, found.leading) == (9, 8, 3)
    assert not found.is_only_refused


def test_refusers_count_once_each_and_only_at_the_beginning(open_state: OpenState) -> None:
    sends, other = open_state().sends, open_state().sends
    sends.add([used(2, refused=2, leading=2)], [], [Refuser("t/g", 1, "a"), Refuser("t/g", 1, "b")])
    other.add([used(2, refused=1, leading=1)], [], [Refuser("t/g", 1, "b"), Refuser("t/g", 1, "c")])
    assert sends.refusers("t/g", 1) == 3
    sends.add([used(1, refused=1, leading=1)], [], [Refuser("t/g", 1, "d")])
    assert sends.refusers("t/g", 1) == 3
    assert sends.refusers("t/g", 2) == 0


def test_hours_add_up_are_in_order_and_are_forgotten(open_state: OpenState) -> None:
    sends, other = open_state().sends, open_state().sends
    first, later = HourUse("t/g", 1, NOW, 3, 2, 1, 0, 0), HourUse("t/g", 1, NOW + 3600.5, 1, 1, 0, 1, 0)
    sends.add([used(4)], [later, first], [])
    other.add([used(4)], [first, HourUse("t/g", 2, NOW, 0, 0, 0, 0, 1), HourUse("t/x", 1, NOW, 1)], [])
    twice = HourUse("t/g", 1, NOW, 6, 4, 2, 0, 0)
    assert sends.hours(["t/g"]) == [twice, HourUse("t/g", 2, NOW, not_replayed=1), later]
    sends.forget(NOW + 1)
    assert other.hours(["t/g", "t/x"]) == [later]
    assert other.uses(["t/g"])["t/g", 1].uses == 8


def test_many_count_at_once_and_nothing_is_lost(open_state: OpenState) -> None:
    def count(state: GatewayState) -> None:
        for _ in range(10):
            state.sends.add([used(), used(number=2)], [HourUse("t/g", 1, NOW, 1)], [])

    states = [open_state() for _ in range(4)]
    at_once([partial(count, state) for state in states])
    assert {use.uses for use in states[0].sends.uses(["t/g"]).values()} == {40}
    assert [hour.uses for hour in states[0].sends.hours(["t/g"])] == [40]


def test_a_breaker_opens_after_failures_of_all_in_a_row(open_state: OpenState) -> None:
    breakers, other = open_state().breakers, open_state().breakers
    breakers.failed(SERVER, NOW)
    breakers.succeeded(SERVER)
    assert breakers.all() == {}
    for turn in range(OPEN_AFTER):
        assert not any(one.is_open for one in other.all().values())
        (breakers if turn % 2 else other).failed(SERVER, NOW)
    assert breakers.all()[SERVER].is_open
    assert list(other.all()) == [SERVER]


def test_one_of_all_tries_after_a_while_and_decides_for_them(open_state: OpenState) -> None:
    states = [open_state() for _ in range(4)]
    for _ in range(OPEN_AFTER):
        states[0].breakers.failed(SERVER, NOW)
    assert not states[1].breakers.attempt(SERVER, NOW + OPEN_SECONDS - 1)
    tried: list[bool] = []
    at_once([lambda one=one: tried.append(one.breakers.attempt(SERVER, NOW + 30)) for one in states])
    assert Counter(tried) == {True: 1, False: 3}
    states[1].breakers.failed(SERVER, NOW + 31)
    assert not states[2].breakers.attempt(SERVER, NOW + 31 + OPEN_SECONDS - 1)
    assert states[2].breakers.attempt(SERVER, NOW + 31 + OPEN_SECONDS)
    states[2].breakers.succeeded(SERVER)
    assert all(one.breakers.attempt(SERVER, NOW + 62) for one in states)


def test_failures_of_what_was_sent_before_do_not_put_off_the_try(open_state: OpenState) -> None:
    breakers = open_state().breakers
    for late in range(OPEN_AFTER + 3):
        breakers.failed(SERVER, NOW + late)
    assert breakers.all()[SERVER].opened_at == NOW + OPEN_AFTER - 1


def test_another_tries_when_the_one_that_tried_was_never_heard_of(open_state: OpenState) -> None:
    breakers = open_state().breakers
    for _ in range(OPEN_AFTER):
        breakers.failed(SERVER, NOW)
    assert breakers.attempt(SERVER, NOW + 30)
    assert not breakers.attempt(SERVER, NOW + 59)
    assert breakers.attempt(SERVER, NOW + 60)


def test_a_notice_is_claimed_once_together_with_its_deliveries(open_state: OpenState) -> None:
    states = [open_state() for _ in range(4)]
    claimed: list[str] = []

    def claim(state: GatewayState) -> None:
        notices = [Notice("a", NOW), Notice("b", NOW)]
        claimed.extend(state.outbox.claim(notices, [("a", delivery("of a"))]))

    at_once([partial(claim, state) for state in states])
    assert sorted(claimed) == ["a", "b"]
    assert states[0].outbox.deliveries(None, most=9) == [delivery("of a")]
    assert states[0].outbox.claim([Notice("a", NOW)], [("a", delivery("again"))]) == frozenset()
    assert states[1].outbox.deliveries(None, most=9) == [delivery("of a")]
    assert states[1].outbox.claim([], []) == frozenset()


def test_it_is_remembered_how_far_the_log_was_looked_at(open_state: OpenState) -> None:
    outbox, other = open_state().outbox, open_state().outbox
    assert outbox.told_to() is None
    outbox.tell_to(7)
    other.tell_to(5_000_000_000)
    assert outbox.told_to() == 5_000_000_000


def test_keys_that_are_rotated_are_remembered_until_they_are_let_go(open_state: OpenState) -> None:
    outbox, other = open_state().outbox, open_state().outbox
    assert outbox.reminders() == []
    outbox.remind(Notice("b", NOW))
    outbox.remind(Notice("a", NOW + 0.5))
    other.remind(Notice("b", NOW + 1))
    assert outbox.reminders() == [Notice("a", NOW + 0.5), Notice("b", NOW + 1)]
    other.let_go("a")
    other.let_go("nobody")
    assert outbox.reminders() == [Notice("b", NOW + 1)]


def test_a_delivery_that_is_due_is_leased_to_one(open_state: OpenState) -> None:
    outbox, other = open_state().outbox, open_state().outbox
    late, soon = delivery("late", due_at=NOW + 60), delivery("soon", due_at=NOW - 1)
    outbox.claim([Notice("a", NOW)], [("a", late), ("a", delivery("now")), ("a", soon)])
    assert other.lease(NOW, NOW + 30, 9) == [soon, delivery("now")]
    assert outbox.lease(NOW, NOW + 30, 9) == []
    assert {one.message for one in outbox.lease(NOW + 30, NOW + 90, 1)} <= {"soon", "now"}
    assert [one.message for one in outbox.lease(NOW + 60, NOW + 99, 9)][-1] == "late"


def test_only_one_of_many_is_given_a_delivery(open_state: OpenState) -> None:
    states = [open_state() for _ in range(4)]
    states[0].outbox.claim([Notice("a", NOW)], [("a", delivery(f"m{turn}")) for turn in range(20)])
    leased: list[str] = []

    def lease(state: GatewayState) -> None:
        while found := state.outbox.lease(NOW, NOW + 30, 2):
            leased.extend(one.message for one in found)

    at_once([partial(lease, state) for state in states])
    assert sorted(leased) == sorted(f"m{turn}" for turn in range(20))


def test_what_became_of_a_delivery_is_listed_and_forgotten(open_state: OpenState) -> None:
    outbox = open_state().outbox
    outbox.claim([Notice("a", NOW)], [("a", delivery(name)) for name in ("one", "two", "three")])
    dead = delivery("two", state=DeliveryState.DEAD, trouble="refused", attempts=10, due_at=NOW + 2)
    done = delivery("three", state=DeliveryState.DELIVERED, attempts=1, due_at=NOW + 1)
    outbox.put(dead)
    outbox.put(done)
    assert outbox.deliveries(None, most=9) == [dead, done, delivery("one")]
    assert outbox.deliveries(DeliveryState.DEAD, most=9) == [dead]
    assert outbox.deliveries(None, most=1) == [dead]
    assert outbox.lease(NOW + 99, NOW + 100, 9) == [delivery("one")]
    outbox.forget(NOW + 2)
    assert outbox.deliveries(None, most=9) == [delivery("one", due_at=NOW + 100), dead]
    assert outbox.claim([Notice("a", NOW)], []) == {"a"}
