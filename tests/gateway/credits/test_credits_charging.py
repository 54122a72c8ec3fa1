"""What carries a request holds its credits: reserved, renewed while it lasts, and ended once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from credits_bed import GROUP, Credits
from engine_bed import Bed
from patience import PATIENCE_SECONDS

from keyrack.core.errors import Unavailable
from keyrack.gateway.charging import RENEW_SECONDS, Charges, Held, Short
from keyrack.stores.balances import LEASE_SECONDS, Order, Outcome, Reserved
from keyrack.stores.balances_memory import MemoryBalances

SETTLED, REFUNDED = Outcome.SETTLED, Outcome.REFUNDED


class Flaky(MemoryBalances):
    """Balances that cannot be reached while they are `down`, and say how they were asked."""

    def __init__(self, *, blocks: bool = False) -> None:
        super().__init__()
        self.blocks = blocks
        self.down = False
        self.unended: set[str] = set()
        """Reservations whose end cannot be told."""
        self.wait: Callable[[], None] = lambda: None
        """What an end waits for before it is told or fails."""
        self.renewals: list[Sequence[str]] = []

    def reserve(self, order: Order, now: float) -> Reserved:
        self._require_up()
        return super().reserve(order, now)

    def renew(self, ids: Sequence[str], now: float) -> frozenset[str]:
        self._require_up()
        self.renewals.append(ids)
        return super().renew(ids, now)

    def end(self, reservation_id: str, *given: Any, **units: Any) -> bool:
        self._require_up()
        self.wait()
        if reservation_id in self.unended:
            raise Unavailable("unended")
        return super().end(reservation_id, *given, **units)

    def _require_up(self) -> None:
        if self.down:
            raise Unavailable("down")


class Carrier:
    """What carries requests on an engine whose balances may be away."""

    def __init__(self, bed: Bed, *, blocks: bool = False, renew_seconds: float = RENEW_SECONDS):
        self.balances = Flaky(blocks=blocks)
        object.__setattr__(bed.stores, "balances", self.balances)
        self.credits = Credits(bed)
        self.credits.given(tier="metered", available=10)
        self.charges = Charges(bed.stores, renew_seconds=renew_seconds)
        self.passes = bed.passes
        self.now = bed.clock
        self.available = self.credits.available

    async def held(self, cost: int = 4, **terms: Any) -> Held:
        held = await self.reserved(cost, **terms)
        assert isinstance(held, Held)
        return held

    async def reserved(self, cost: int = 4, owner: str | None = "ada", **terms: Any) -> Held | Short:
        terms = {"at_lapse": REFUNDED, **terms}
        return await self.charges.reserve(self.credits.upstream, owner, cost=cost, **terms)

    def lapse(self) -> int:
        return self.balances.lapse(self.now())


@pytest.fixture
def carrier(memory: Bed) -> Carrier:
    return Carrier(memory)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), PATIENCE_SECONDS))


@pytest.mark.spec("UG-34")
@pytest.mark.parametrize("blocks", [False, True], ids=["at once", "in a thread"])
def test_what_is_held_is_settled_or_given_back(memory: Bed, blocks: bool) -> None:
    carrier = Carrier(memory, blocks=blocks)

    async def work() -> None:
        one, two = await carrier.held(4), await carrier.held(5)
        assert (carrier.available(), two.balance.available) == (1, 1)
        assert await carrier.charges.end(one.id, REFUNDED)
        assert await carrier.charges.end(two.id, SETTLED, input_units=7, output_units=9)
        assert carrier.available() == 5

    run(work)


@pytest.mark.spec("UG-34")
def test_each_reservation_has_an_id_of_128_random_bits_of_ours(carrier: Carrier) -> None:
    async def work() -> None:
        ids = {(await carrier.held(1)).id for _ in range(5)}
        assert len(ids) == 5
        assert all(len(bytes.fromhex(one)) == 16 for one in ids)

    run(work)


@pytest.mark.spec("UG-35", "UG-37")
def test_what_is_short_says_what_there_is_and_what_was_asked(carrier: Carrier) -> None:
    async def work() -> None:
        credits_short = await carrier.reserved(11)
        input_short = await carrier.reserved(1, input_units=1001)
        assert isinstance(credits_short, Short)
        assert isinstance(input_short, Short)
        assert (credits_short.details["meter"], credits_short.is_first) == ("credits", True)
        assert (input_short.details["meter"], input_short.is_first) == ("input", False)
        asked = [(one.details["available"], one.details["required"]) for one in (credits_short, input_short)]
        assert asked == [(10, 11), (1000, 1001)]
        assert {one.details["group"] for one in (credits_short, input_short)} == {GROUP}
        await carrier.charges.end((await carrier.held(1)).id, SETTLED, output_units=5000)
        output_short = await carrier.reserved(1)
        assert isinstance(output_short, Short)
        assert (output_short.details["meter"], output_short.details["available"]) == ("output", 0)

    run(work)


@pytest.mark.spec("UG-35")
@pytest.mark.parametrize("owner", ["eve", None])
def test_a_user_without_a_balance_is_out_of_credits(carrier: Carrier, owner: str | None) -> None:
    async def work() -> None:
        short = await carrier.reserved(1, owner)
        assert isinstance(short, Short)
        assert short.details == {
            "group": GROUP,
            "meter": "credits",
            "available": 0,
            "required": 1,
            "reset_date": None,
        }

    run(work)


@pytest.mark.spec("UG-34")
def test_what_is_carried_is_renewed_and_outlasts_its_lease(carrier: Carrier) -> None:
    async def work() -> None:
        held = await carrier.held()
        for _ in range(10):
            carrier.passes(LEASE_SECONDS - 1)
            await carrier.charges.renew()
            assert carrier.lapse() == 0
        assert not held.lost.is_set()
        assert await carrier.charges.end(held.id, SETTLED)

    run(work)


@pytest.mark.spec("UG-34")
def test_it_is_renewed_by_itself_as_long_as_anything_is_carried(memory: Bed) -> None:
    carrier = Carrier(memory, renew_seconds=0.001)

    async def work() -> None:
        held = await carrier.held()
        while not carrier.balances.renewals:
            await asyncio.sleep(0.001)
        await carrier.charges.end(held.id, SETTLED)
        while carrier.charges._renewing is not None and not carrier.charges._renewing.done():
            await asyncio.sleep(0.001)
        assert carrier.balances.renewals[0] == [held.id]

    run(work)


@pytest.mark.spec("UG-34")
def test_what_lapsed_all_the_same_is_lost_to_whoever_carries_it(carrier: Carrier) -> None:
    async def work() -> None:
        held = await carrier.held()
        carrier.passes(LEASE_SECONDS)
        assert carrier.lapse() == 1
        await carrier.charges.renew()
        assert held.lost.is_set()
        assert not await carrier.charges.end(held.id, SETTLED)
        assert carrier.available() == 10

    run(work)


@pytest.mark.spec("UG-34")
def test_what_cannot_be_renewed_is_lost_before_its_lease_is_over(carrier: Carrier) -> None:
    async def work() -> None:
        held = await carrier.held()
        carrier.balances.down = True
        carrier.passes(LEASE_SECONDS - RENEW_SECONDS - 1)
        await carrier.charges.renew()
        assert not held.lost.is_set()
        carrier.passes(1)
        await carrier.charges.renew()
        assert held.lost.is_set()

    run(work)


def test_an_end_that_cannot_be_told_is_told_later(carrier: Carrier) -> None:
    async def work() -> None:
        held = await carrier.held()
        carrier.balances.down = True
        assert await carrier.charges.end(held.id, SETTLED, output_units=3)
        await carrier.charges.renew()
        carrier.balances.down = False
        await carrier.charges.renew()
        carrier.passes(LEASE_SECONDS)
        assert carrier.lapse() == 0
        assert carrier.available() == 6
        kept = carrier.balances.reservation(held.id)
        assert kept is not None
        assert kept.outcome is SETTLED

    run(work)


@pytest.mark.spec("UG-34")
def test_an_end_that_cannot_be_told_cuts_off_nobody_and_stops_no_other_end(carrier: Carrier) -> None:
    async def work() -> None:
        stuck, other, lasting = [await carrier.held(2) for _ in range(3)]
        carrier.balances.down = True
        await carrier.charges.end(stuck.id, SETTLED)
        await carrier.charges.end(other.id, REFUNDED)
        carrier.balances.down, carrier.balances.unended = False, {stuck.id}
        for _ in range(5):
            carrier.passes(RENEW_SECONDS)
            await carrier.charges.renew()
            assert carrier.lapse() == 0
        assert not lasting.lost.is_set()
        assert carrier.available() == 6, "the other one was given back"
        carrier.balances.unended = set()
        await carrier.charges.renew()
        kept = carrier.balances.reservation(stuck.id)
        assert kept is not None
        assert kept.outcome is SETTLED

    run(work)


@pytest.mark.spec("UG-34")
def test_ends_that_wait_long_leave_time_for_the_next_renewal(carrier: Carrier) -> None:
    async def work() -> None:
        ended = [await carrier.held(1) for _ in range(9)]
        carrier.balances.unended = {one.id for one in ended}
        for one in ended:
            await carrier.charges.end(one.id, SETTLED)
        carrier.balances.wait = lambda: carrier.passes(RENEW_SECONDS / 2)
        before = carrier.now()
        await carrier.charges.renew()
        assert carrier.now() == before + RENEW_SECONDS

    run(work)


@pytest.mark.spec("UG-34")
def test_what_a_proxy_carries_is_not_renewed_and_lapses_as_it_said(carrier: Carrier) -> None:
    async def work() -> None:
        held = await carrier.held(at_lapse=SETTLED, reporter="0aA1bB2cC3dD")
        await carrier.charges.renew()
        assert carrier.balances.renewals == [[]]
        kept = carrier.balances.reservation(held.id)
        assert kept is not None
        assert kept.reporter == "0aA1bB2cC3dD"
        carrier.balances.down = True
        with pytest.raises(Unavailable):
            await carrier.charges.end(held.id, REFUNDED)
        carrier.balances.down = False
        carrier.passes(LEASE_SECONDS)
        assert carrier.lapse() == 1
        assert not await carrier.charges.end(held.id, REFUNDED)
        assert carrier.available() == 6

    run(work)


def test_without_balances_nothing_is_reserved(memory: Bed) -> None:
    carrier = Carrier(memory)
    nowhere = Charges(replace(memory.stores, balances=None))

    async def work() -> None:
        with pytest.raises(Unavailable) as refused:
            await nowhere.reserve(carrier.credits.upstream, "ada", cost=1, at_lapse=REFUNDED)
        assert refused.value.reason == "unconfigured"

    run(work)
