"""A key that names a credit group pays for each decision there, as its last step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from credits_bed import GROUP, Credits, group
from engine_bed import OPERATOR, Bed, details, opened, refusal
from guards.bed import call_asgi

from keyrack import Access, Allowed, Denied, Policy, Reason, Verifier
from keyrack.core.errors import Unavailable, ValidationFailed
from keyrack.core.model import Limit
from keyrack.core.records import write_time
from keyrack.guards import Row
from keyrack.guards.asgi import Guard
from keyrack.sessions.exchange import Sessions
from keyrack.stores.balances import Order, Reserved
from keyrack.stores.balances_memory import MemoryBalances
from keyrack.stores.counters import MemoryCounters

LIMITED = Policy(limits=(Limit("minute", 20, 60),))


@pytest.fixture
def credits_here(memory: Bed) -> Credits:
    return Credits(memory)


class Down(MemoryBalances):
    """Balances that cannot be read."""

    def take(self, order: Order, now: float) -> Reserved:
        raise Unavailable("down")


class Forgetful(MemoryCounters):
    """Counters that count, and cannot be written a moment later."""

    def give_back(self, spends: Any, now: float) -> None:
        raise Unavailable("down")


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing comes through the guard")


def on(bed: Bed, **parts: Any) -> Verifier:
    """Another Verifier on the same store, but for these parts."""
    verifier = Verifier(replace(bed.stores, **parts), policy=bed.verifier.policy)
    verifier.follower.load()
    return verifier


@pytest.mark.parametrize("half", ["verify", "allow"])
def test_each_decision_costs_its_owner_credits_until_none_are_left(credits_here: Credits, half: str) -> None:
    credits_here.given(available=5)
    text, verifier = credits_here.key(), credits_here.bed.verifier

    def decided(cost: int) -> str:
        access = Access(("logs:read",), cost=cost)
        if half == "verify":
            decision = verifier.verify(text, access)
        else:
            identified = verifier.identify(text, access)
            assert isinstance(identified, Allowed)
            decision = verifier.allow(identified, access)
        return decision.reason.value if isinstance(decision, Denied) else "ok"

    assert [decided(cost) for cost in (2, 4, 3, 1, 0)] == ["ok", "credits", "ok", "credits", "ok"]
    assert credits_here.available() == 0


def test_a_refusal_says_what_there_is_and_until_when(credits_here: Credits) -> None:
    balance = credits_here.given(available=1)
    refused = credits_here.bed.verifier.verify(credits_here.key(), Access(cost=2))
    assert isinstance(refused, Denied)
    assert refused.key is not None
    assert refused.details == {
        "group": GROUP,
        "meter": "credits",
        "available": 1,
        "required": 2,
        "reset_date": write_time(
            credits_here.bed.at.fromtimestamp(balance.resets_at or 0, credits_here.bed.at.tzinfo)
        ),
    }


def test_what_is_refused_for_another_reason_costs_nothing(credits_here: Credits) -> None:
    credits_here.given(available=1)
    text = credits_here.key()
    assert credits_here.bed.verdict(text, "logs:write") == "scope"
    assert credits_here.available() == 1


@pytest.mark.parametrize("available", [1, 0])
def test_what_is_not_there_costs_nothing(credits_here: Credits, available: int) -> None:
    credits_here.given(available=available)
    guard = Guard(_nothing, credits_here.bed.verifier, [Row("GET", "/lines", Access(("logs:read",)))])
    headers = [("x-api-key", credits_here.key())]
    answers = [
        call_asgi(guard, headers=headers, method=method, path=path)
        for method, path in (("GET", "/nothing"), ("POST", "/lines"))
    ]
    assert [answer.status for answer in answers] == [404, 405]
    assert credits_here.available() == available


@pytest.mark.spec("UG-35")
@pytest.mark.parametrize("owner", ["eve", None])
def test_a_user_without_a_balance_has_no_credits(credits_here: Credits, owner: str | None) -> None:
    credits_here.given()
    refused = credits_here.bed.verifier.verify(credits_here.key(owner), Access(cost=0))
    assert isinstance(refused, Denied)
    assert (refused.reason, refused.details["available"]) == (Reason.CREDITS, 0)
    assert refused.details["reset_date"] is None


def test_keys_of_one_owner_pay_from_one_balance(credits_here: Credits) -> None:
    credits_here.given(available=2)
    texts = [credits_here.key(name=name) for name in ("one", "two", "three")]
    assert [credits_here.bed.verdict(text) for text in texts] == ["ok", "ok", "credits"]


def test_a_key_that_names_no_group_pays_nowhere(credits_here: Credits) -> None:
    credits_here.given(available=0)
    _, text = credits_here.bed.mint("logs:read", owner="ada")
    assert credits_here.bed.verdict(text) == "ok"


def test_an_access_may_leave_credits_to_somebody_else(credits_here: Credits) -> None:
    """As the gateway does, which charges the group of the API."""
    credits_here.given(available=1)
    text = credits_here.key()
    assert [credits_here.bed.verdict(text, credits=False) for _ in range(3)] == ["ok"] * 3
    assert credits_here.available() == 1


def test_a_session_pays_as_its_key_does(credits_here: Credits) -> None:
    credits_here.given(available=1)
    bed = credits_here.bed
    allowed = bed.verifier.verify(credits_here.key(), Access(cost=0))
    assert isinstance(allowed, Allowed)
    sessions = Sessions(bed.verifier, credits_here.vault.master_keys)
    token = sessions.exchange(allowed).token
    bed.verifier.follower.poll()
    assert [bed.verdict(token, "logs:read") for _ in range(2)] == ["ok", "credits"]


def test_credits_come_back_with_the_next_period(credits_here: Credits) -> None:
    credits_here.given(available=0)
    text = credits_here.key()
    assert credits_here.bed.verdict(text) == "credits"
    credits_here.bed.passes(days=1)
    assert credits_here.bed.verdict(text) == "ok"
    assert credits_here.available() == 9


def test_a_deleted_group_has_no_credits_for_anybody(credits_here: Credits) -> None:
    credits_here.given()
    text = credits_here.key()
    credits_here.upstreams.delete(GROUP, by=OPERATOR)
    assert credits_here.bed.verdict(text) == "credits"


class TestLimits:
    @pytest.fixture
    def limited(self) -> Iterator[Credits]:
        with opened(policy=LIMITED) as bed:
            yield Credits(bed)

    def left(self, credits_here: Credits, text: str) -> list[int]:
        decision = credits_here.bed.verifier.verify(text, Access(cost=0))
        return [rate.remaining for rate in decision.rates]

    def test_limits_and_credits_are_charged_together(self, limited: Credits) -> None:
        limited.given()
        text = limited.key()
        assert limited.bed.verdict(text, cost=4) == "ok"
        assert (self.left(limited, text), limited.available()) == ([16], 6)

    def test_where_credits_refuse_the_limits_are_given_back(self, limited: Credits) -> None:
        limited.given(available=3)
        text = limited.key()
        refused = limited.bed.verifier.verify(text, Access(cost=4))
        assert isinstance(refused, Denied)
        assert refused.reason is Reason.CREDITS
        assert [rate.remaining for rate in refused.rates] == self.left(limited, text) == [20]

    def test_where_limits_refuse_no_credits_are_taken(self, limited: Credits) -> None:
        limited.given(tier="metered")
        assert limited.bed.verdict(limited.key(), cost=21) == "rate"
        assert limited.available() == 100

    def test_what_cannot_be_given_back_is_refused_all_the_same(self, limited: Credits) -> None:
        limited.given(available=0)
        text = limited.key()
        refused = on(limited.bed, counters=Forgetful()).verify(text, Access())
        assert isinstance(refused, Denied)
        assert (refused.reason, refused.rates) == (Reason.CREDITS, ())

    def test_limits_that_could_not_be_counted_have_nothing_to_give_back(self, limited: Credits) -> None:
        class NoCounters(Forgetful):
            def take(self, spends: Any, now: float) -> Any:
                raise Unavailable("down")

        limited.given(available=0)
        text = limited.key()
        stores = replace(limited.bed.stores, counters=NoCounters())
        verifier = Verifier(stores, policy=LIMITED, open_when_down=True)
        verifier.follower.load()
        refused = verifier.verify(text, Access())
        assert isinstance(refused, Denied)
        assert (refused.reason, refused.rates) == (Reason.CREDITS, ())


class TestTrouble:
    def test_balances_that_cannot_be_read_refuse_as_our_own_trouble(self, credits_here: Credits) -> None:
        text = credits_here.key()
        decision = on(credits_here.bed, balances=Down()).verify(text, Access())
        assert isinstance(decision, Denied)
        assert decision.reason is Reason.STORE_DOWN

    def test_a_store_that_keeps_none_lets_no_such_key_pass(self, credits_here: Credits) -> None:
        text = credits_here.key()
        decision = on(credits_here.bed, balances=None).verify(text, Access())
        assert isinstance(decision, Denied)
        assert decision.reason is Reason.UNCONFIGURED


class TestWaiting:
    def test_only_keys_that_pay_wait_for_balances_on_a_network(self, credits_here: Credits) -> None:
        class Far(MemoryBalances):
            blocks = True

        paying = credits_here.key()
        _, free = credits_here.bed.mint("logs:read", owner="ada")
        verifier = on(credits_here.bed, balances=Far())
        assert verifier.may_wait
        assert verifier.waits(paying)
        assert not verifier.waits(paying, Access(credits=False))
        assert not verifier.waits(free)
        assert not verifier.waits("kr_live_x")
        assert not credits_here.bed.verifier.may_wait


class TestNaming:
    def test_a_key_names_a_group_of_its_tenant_that_there_is(self, credits_here: Credits) -> None:
        bed = credits_here.bed
        minted, _ = bed.mint("logs:read", owner="ada", credits=GROUP)
        assert minted.key.credits == GROUP
        for name in ("no-such-group", "", "a\nb", 7):
            with pytest.raises(ValidationFailed) as refused:
                bed.mint("logs:read", credits=name)
            assert details(refused.value.details) == ["credits"]
        bed.tenants.create("acme", by=OPERATOR)
        assert refusal(bed.mint, "logs:read", credits=GROUP, tenant="acme") == "validation_error"

    def test_a_key_may_be_given_a_group_and_lose_it(self, credits_here: Credits) -> None:
        bed = credits_here.bed
        minted, text = bed.mint("logs:read", owner="eve")
        bed.issuer.update(minted.key.id, {"credits": GROUP}, by=OPERATOR)
        assert bed.verdict(text) == "credits"
        bed.issuer.update(minted.key.id, {"credits": None}, by=OPERATOR)
        assert bed.verdict(text) == "ok"

    def test_a_deleted_group_is_none_but_a_key_that_names_it_can_still_be_changed(
        self, credits_here: Credits
    ) -> None:
        bed = credits_here.bed
        minted, _ = bed.mint("logs:read", owner="ada", credits=GROUP)
        credits_here.upstreams.delete(GROUP, by=OPERATOR)
        assert refusal(bed.mint, "logs:read", credits=GROUP) == "validation_error"
        assert bed.issuer.update(minted.key.id, {"name": "renamed"}, by=OPERATOR).credits == GROUP

    def test_whoever_pays_gives_no_key_that_does_not(self, credits_here: Credits) -> None:
        """Absent is wider than any value."""
        bed = credits_here.bed
        credits_here.given(available=50)
        credits_here.upstreams.create(group("images"), by=OPERATOR)
        _, text = bed.mint("logs:read", "keys:manage", owner="ada", credits=GROUP)
        payer = bed.authority(text)
        for named in (None, "images"):
            assert refusal(bed.mint, "logs:read", by=payer, credits=named) == "insufficient_scope"
        assert bed.mint("logs:read", by=payer, credits=GROUP)[0].key.credits == GROUP
