"""One contract for every kind of Balances: what a reservation takes, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from balances_bed import SHARED, opened
from balances_values import ADA, FREE, METERED, MIDNIGHT, NOW, TIERS, available, given, order
from sqlalchemy import Connection

from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.stores.balances import (
    KEPT_SECONDS,
    LEASE_SECONDS,
    Account,
    Amendment,
    Balance,
    Balances,
    Meter,
    Outcome,
)
from keyrack.stores.balances_redis import RedisBalances
from keyrack.stores.sql.balances import SqlBalances

EVE = Account("default", "eve", "chat")
SETTLED, REFUNDED = Outcome.SETTLED, Outcome.REFUNDED


@pytest.fixture(params=["memory", *SHARED])
def balances(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Balances]:
    """Balances with nothing in them."""
    yield from opened(request.param, request, tmp_path)


def after_the_listing(balances: Balances, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have something done once, when the next lapse has read what is due and before it ends any of it."""
    if isinstance(balances, RedisBalances):
        listed = balances._redis.zrangebyscore

        def listing(*args: Any, **options: Any) -> object:
            due = listed(*args, **options)
            act()
            return due

        monkeypatch.setattr(balances._redis, "zrangebyscore", listing)
        return
    assert isinstance(balances, SqlBalances)
    own = balances._writing

    @contextmanager
    def writing() -> Iterator[Connection]:
        with own() as connection:
            yield connection
        monkeypatch.undo()
        act()

    monkeypatch.setattr(balances, "_writing", writing)


class TestReserving:
    def test_takes_the_cost_at_once(self, balances: Balances) -> None:
        given(balances)
        assert balances.reserve(order(cost=4), NOW).balance == Balance(ADA, "free", 6, MIDNIGHT)
        assert available(balances) == 6

    def test_what_does_not_fit_takes_nothing_and_says_what_was_too_little(self, balances: Balances) -> None:
        given(balances)
        refused = balances.reserve(order(cost=11), NOW)
        assert (refused.short, refused.first_short) == (Meter.CREDITS, True)
        assert refused.balance is not None
        assert refused.balance.available == available(balances) == 10

    def test_only_the_first_refusal_of_a_period_says_so(self, balances: Balances) -> None:
        given(balances)
        firsts = [balances.reserve(order(str(number), 11), NOW).first_short for number in range(3)]
        assert firsts == [True, False, False]
        assert balances.reserve(order("4", 11), MIDNIGHT).first_short

    def test_a_user_without_a_balance_has_no_credits(self, balances: Balances) -> None:
        given(balances, EVE)
        assert balances.reserve(order(cost=0), NOW) == (None, Meter.CREDITS, False)
        assert balances.reservation("r1") is None

    def test_what_costs_nothing_fits_an_empty_balance(self, balances: Balances) -> None:
        given(balances, available=0)
        assert balances.reserve(order(cost=0), NOW).short is None
        assert balances.reserve(order("r2", 1), NOW).short is Meter.CREDITS

    def test_the_same_order_again_is_the_same_reservation(self, balances: Balances) -> None:
        given(balances)
        for _ in range(3):
            assert balances.reserve(order(cost=4), NOW).short is None
        assert available(balances) == 6

    def test_what_is_taken_for_good_leaves_no_reservation(self, balances: Balances) -> None:
        given(balances)
        assert balances.take(order(cost=4), NOW).short is None
        assert balances.reservation("r1") is None
        assert not balances.end("r1", REFUNDED)
        assert balances.take(order(cost=7), NOW).short is Meter.CREDITS
        assert available(balances) == 6

    def test_a_reservation_is_known_by_its_id(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=4)._replace(reporter="0aA1bB2cC3dD"), NOW)
        assert balances.reservation("r1") == ("r1", ADA, 4, NOW, NOW + LEASE_SECONDS, None, "0aA1bB2cC3dD")
        balances.end("r1", SETTLED)
        kept = balances.reservation("r1")
        assert kept is not None
        assert kept.outcome is SETTLED

    def test_accounts_are_told_apart_by_tenant_owner_and_group(self, balances: Balances) -> None:
        others = (EVE, ADA._replace(tenant="acme"), ADA._replace(group="images"), ADA._replace(owner="ada/"))
        for account in (ADA, *others):
            given(balances, account)
        balances.reserve(order(cost=4), NOW)
        assert [available(balances, account) for account in others] == [10, 10, 10, 10]

    def test_an_owner_may_be_named_in_any_letters(self, balances: Balances) -> None:
        account = ADA._replace(owner="Zoë / O'Brien %_ 日本 \U0001f511")
        given(balances, account)
        assert balances.reserve(order(cost=4, account=account), NOW).short is None
        kept = balances.reservation("r1")
        assert kept is not None
        assert kept.account == account


class TestEnding:
    def test_a_refund_gives_everything_back(self, balances: Balances) -> None:
        given(balances, tier="metered")
        balances.reserve(order(cost=4, input_units=300), NOW)
        assert balances.end("r1", REFUNDED)
        assert balances.get(ADA, TIERS, NOW) == Balance(ADA, "metered", 100, MIDNIGHT)

    def test_what_is_settled_stays_spent_and_is_metered(self, balances: Balances) -> None:
        given(balances, tier="metered")
        balances.reserve(order(cost=4, input_units=300), NOW)
        assert balances.end("r1", SETTLED, input_units=320, output_units=41)
        assert balances.get(ADA, TIERS, NOW) == Balance(ADA, "metered", 96, MIDNIGHT, 320, 41)

    def test_input_that_nobody_measured_is_what_the_order_said(self, balances: Balances) -> None:
        given(balances, tier="metered")
        balances.reserve(order(input_units=300), NOW)
        balances.end("r1", SETTLED)
        assert balances.get(ADA, TIERS, NOW) == Balance(ADA, "metered", 99, MIDNIGHT, 300, 0)

    @pytest.mark.spec("UG-34")
    @pytest.mark.parametrize("first", list(Outcome))
    @pytest.mark.parametrize("second", list(Outcome))
    def test_the_first_end_is_final(self, balances: Balances, first: Outcome, second: Outcome) -> None:
        given(balances)
        balances.reserve(order(cost=4), NOW)
        assert balances.end("r1", first)
        after = available(balances)
        assert not balances.end("r1", second, output_units=7)
        assert available(balances) == after == (6 if first is SETTLED else 10)
        kept = balances.reservation("r1")
        assert kept is not None
        assert kept.outcome is first

    def test_what_never_was_does_not_end(self, balances: Balances) -> None:
        given(balances)
        assert not balances.end("r1", REFUNDED)
        assert available(balances) == 10

    @pytest.mark.parametrize("outcome", list(Outcome))
    def test_the_end_of_what_an_earlier_period_paid_changes_nothing(
        self, balances: Balances, outcome: Outcome
    ) -> None:
        given(balances, tier="metered")
        balances.reserve(order("early", 4, input_units=300), NOW)
        balances.reserve(order("late", 1), MIDNIGHT)
        assert balances.end("early", outcome, input_units=320, output_units=41)
        assert balances.get(ADA, TIERS, MIDNIGHT) == Balance(ADA, "metered", 99, MIDNIGHT + 86_400)

    def test_a_removed_balance_is_not_brought_back_by_a_refund(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=4), NOW)
        assert balances.remove(ADA)
        assert balances.end("r1", REFUNDED)
        assert balances.get(ADA, TIERS, NOW) is None

    def test_a_balance_made_anew_owes_nothing_to_what_was_charged_before(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=4), NOW)
        balances.remove(ADA)
        balances.amend(ADA, Amendment(tier="free"), TIERS, NOW + 1)
        balances.end("r1", REFUNDED)
        assert available(balances) == 10


class TestLeases:
    def test_what_nobody_renews_lapses_as_it_said(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order("given back", 4), NOW)
        balances.reserve(order("kept", 3)._replace(at_lapse=SETTLED), NOW)
        assert balances.lapse(NOW + LEASE_SECONDS - 1) == 0
        assert balances.lapse(NOW + LEASE_SECONDS) == 2
        assert available(balances) == 7
        assert balances.lapse(NOW + LEASE_SECONDS) == 0

    def test_a_renewal_puts_the_lapse_off(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=4), NOW)
        assert balances.renew(["r1"], NOW + 50) == {"r1"}
        assert balances.lapse(NOW + LEASE_SECONDS) == 0
        assert balances.lapse(NOW + 50 + LEASE_SECONDS) == 1

    @pytest.mark.parametrize("balances", SHARED, indirect=True)
    def test_what_is_renewed_after_it_was_found_due_stays_open(
        self, balances: Balances, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given(balances)
        balances.reserve(order("left", 4), NOW)
        balances.reserve(order("renewed", 3), NOW)
        due_at = NOW + LEASE_SECONDS
        after_the_listing(balances, lambda: balances.renew(["renewed"], due_at), monkeypatch)
        assert balances.lapse(due_at) == 1
        renewed = balances.reservation("renewed")
        assert renewed is not None
        assert (renewed.outcome, renewed.lapses_at) == (None, due_at + LEASE_SECONDS)
        assert available(balances) == 7
        assert balances.lapse(due_at + LEASE_SECONDS) == 1
        assert available(balances) == 10

    def test_only_what_is_open_is_renewed(self, balances: Balances) -> None:
        given(balances)
        for name in ("open", "settled", "lapsed"):
            balances.reserve(order(name), NOW)
        balances.end("settled", SETTLED)
        balances.renew(["open"], NOW + 30)
        balances.lapse(NOW + LEASE_SECONDS)
        assert balances.renew(["open", "settled", "lapsed", "never"], NOW + LEASE_SECONDS) == {"open"}
        assert balances.renew([], NOW) == frozenset()

    def test_what_ended_is_known_for_a_while_and_then_forgotten(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(), NOW)
        balances.end("r1", SETTLED)
        balances.lapse(NOW + LEASE_SECONDS)
        assert balances.reservation("r1") is not None

    @pytest.mark.parametrize("balances", ["memory", "sqlite", "postgresql"], indirect=True)
    def test_by_then_it_is_dropped(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order("ended"), NOW)
        balances.reserve(order("open"), NOW)
        balances.end("ended", SETTLED)
        balances.renew(["open"], NOW + KEPT_SECONDS + LEASE_SECONDS)
        balances.lapse(NOW + KEPT_SECONDS + LEASE_SECONDS + 1)
        assert balances.reservation("ended") is None
        assert balances.reservation("open") is not None


class TestResets:
    @pytest.mark.spec("UG-36")
    def test_at_the_boundary_a_balance_is_its_tiers_credits_and_nothing_used(
        self, balances: Balances
    ) -> None:
        given(balances, tier="metered")
        balances.reserve(order(cost=40, input_units=300), NOW)
        balances.end("r1", SETTLED, output_units=41)
        spent = Balance(ADA, "metered", 60, MIDNIGHT, 300, 41)
        assert balances.get(ADA, TIERS, MIDNIGHT - 1) == spent
        fresh = Balance(ADA, "metered", 100, MIDNIGHT + 86_400)
        assert balances.get(ADA, TIERS, MIDNIGHT) == fresh
        assert balances.reserve(order("r2", 100), MIDNIGHT).balance == fresh._replace(available=0)

    @pytest.mark.spec("UG-36")
    def test_a_balance_that_nobody_touched_for_months_is_reset_once(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=10), NOW)
        much_later = NOW + 200 * 86_400
        assert balances.reserve(order("r2", 4), much_later).short is None
        assert available(balances, now=much_later) == 6

    def test_credits_beyond_the_tiers_do_not_outlast_the_period(self, balances: Balances) -> None:
        given(balances, available=500)
        assert available(balances, now=MIDNIGHT - 1) == 500
        assert available(balances, now=MIDNIGHT) == 10

    def test_a_reset_gives_what_the_tier_says_by_then(self, balances: Balances) -> None:
        given(balances)
        richer = (replace(FREE, credits=25, reset_frequency=ResetFrequency.HOURLY),)
        balance = balances.get(ADA, richer, MIDNIGHT)
        assert balance == Balance(ADA, "free", 25, MIDNIGHT + 3_600)
        wanted = order(cost=25)._replace(tiers=richer)
        assert balances.reserve(wanted, MIDNIGHT).balance == balance._replace(available=0)

    def test_a_tier_without_resets_keeps_what_is_left(self, balances: Balances) -> None:
        once = (Tier("once", 10, None, None, ResetFrequency.NEVER),)
        balances.amend(ADA, Amendment(tier="once"), once, NOW)
        balances.reserve(order(cost=4)._replace(tiers=once), NOW)
        assert balances.get(ADA, once, NOW * 2) == Balance(ADA, "once", 6, None)

    def test_a_tier_that_comes_to_have_resets_begins_with_its_next_boundary(self, balances: Balances) -> None:
        balances.amend(ADA, Amendment("free"), (replace(FREE, reset_frequency=ResetFrequency.NEVER),), NOW)
        assert balances.reserve(order(cost=4), NOW).balance == Balance(ADA, "free", 6, MIDNIGHT)
        assert available(balances, now=MIDNIGHT) == 10

    def test_a_balance_of_a_tier_that_is_gone_keeps_what_it_has_and_gets_nothing_new(
        self, balances: Balances
    ) -> None:
        given(balances)
        without = order(cost=4)._replace(tiers=(METERED,))
        assert balances.reserve(without, MIDNIGHT).balance == Balance(ADA, "free", 6, MIDNIGHT)


class TestMeters:
    @pytest.mark.spec("UG-37")
    def test_input_is_checked_before_it_is_sent(self, balances: Balances) -> None:
        given(balances, tier="metered")
        assert balances.reserve(order("r1", input_units=600), NOW).short is None
        assert balances.reserve(order("r2", input_units=401), NOW).short is Meter.INPUT
        assert balances.reserve(order("r3", input_units=400), NOW).short is None
        assert balances.reserve(order("r4", input_units=1), NOW).short is Meter.INPUT
        assert balances.get(ADA, TIERS, NOW) == Balance(ADA, "metered", 98, MIDNIGHT, 1_000, 0)

    @pytest.mark.spec("UG-37")
    def test_when_output_is_used_up_the_next_request_is_refused(self, balances: Balances) -> None:
        given(balances, tier="metered")
        for name, units in (("r1", 4_999), ("r2", 3_000)):
            assert balances.reserve(order(name), NOW).short is None
            balances.end(name, SETTLED, output_units=units)
        assert balances.reserve(order("r3"), NOW).short is Meter.OUTPUT
        assert balances.reserve(order("r4"), MIDNIGHT).short is None

    def test_credits_are_what_is_named_first(self, balances: Balances) -> None:
        given(balances, tier="metered")
        assert balances.reserve(order(cost=101, input_units=1_001), NOW).short is Meter.CREDITS

    def test_a_tier_without_limits_counts_all_the_same(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(input_units=10**12), NOW)
        balances.end("r1", SETTLED, output_units=10**13)
        assert balances.get(ADA, TIERS, NOW) == Balance(ADA, "free", 9, MIDNIGHT, 10**12, 10**13)


class TestAmending:
    def test_a_new_balance_has_its_tiers_credits(self, balances: Balances) -> None:
        made = balances.amend(ADA, Amendment(tier="metered"), TIERS, NOW)
        assert made == balances.get(ADA, TIERS, NOW) == Balance(ADA, "metered", 100, MIDNIGHT)

    def test_a_new_balance_needs_a_tier(self, balances: Balances) -> None:
        assert balances.amend(ADA, Amendment(available=10), TIERS, NOW) is None
        assert balances.get(ADA, TIERS, NOW) is None

    def test_only_what_is_named_changes(self, balances: Balances) -> None:
        given(balances, tier="metered", available=7, resets_at=NOW + 5, user_key=3)
        balances.reserve(order(input_units=20), NOW)
        stated = Balance(ADA, "metered", 6, NOW + 5, 20, 0, 3)
        assert balances.get(ADA, TIERS, NOW) == stated
        assert balances.amend(ADA, Amendment(available=9), TIERS, NOW) == stated._replace(available=9)
        assert balances.amend(ADA, Amendment(resets_at=NOW + 6), TIERS, NOW) == stated._replace(
            available=9, resets_at=NOW + 6
        )
        assert balances.amend(ADA, Amendment(user_key=0), TIERS, NOW) == stated._replace(
            available=9, resets_at=NOW + 6, user_key=None
        )

    def test_another_tier_brings_its_resets_and_not_its_credits(self, balances: Balances) -> None:
        given(balances, available=3, resets_at=NOW + 5)
        changed = balances.amend(ADA, Amendment(tier="metered"), TIERS, NOW)
        assert changed == Balance(ADA, "metered", 3, MIDNIGHT)

    def test_the_same_tier_again_moves_no_reset(self, balances: Balances) -> None:
        given(balances, resets_at=NOW + 5)
        assert balances.amend(ADA, Amendment(tier="free"), TIERS, NOW) == Balance(ADA, "free", 10, NOW + 5)

    def test_a_reset_that_is_due_comes_first(self, balances: Balances) -> None:
        given(balances, tier="metered")
        balances.reserve(order(cost=40, input_units=300), NOW)
        changed = balances.amend(ADA, Amendment(user_key=1), TIERS, MIDNIGHT)
        assert changed == Balance(ADA, "metered", 100, MIDNIGHT + 86_400, user_key=1)

    def test_what_is_held_comes_back_to_what_was_stated(self, balances: Balances) -> None:
        given(balances)
        balances.reserve(order(cost=4), NOW)
        balances.amend(ADA, Amendment(available=20), TIERS, NOW)
        balances.end("r1", REFUNDED)
        assert available(balances) == 24

    def test_after_an_amendment_a_refusal_is_the_first_again(self, balances: Balances) -> None:
        given(balances, available=0)
        assert balances.reserve(order(), NOW).first_short
        balances.amend(ADA, Amendment(available=0), TIERS, NOW)
        assert balances.reserve(order("r2"), NOW).first_short


class TestListing:
    def test_the_balances_of_a_tenant_are_listed_in_the_order_in_which_they_were_made(
        self, balances: Balances
    ) -> None:
        accounts = [ADA._replace(owner=f"user-{number}") for number in (3, 1, 2)]
        for account in (EVE._replace(tenant="acme"), *accounts):
            given(balances, account)
        given(balances, accounts[0], available=1)
        found = balances.find("default")
        assert [balance.account for _, balance in found] == accounts
        assert found[0][1].available == 1
        places = [place for place, _ in found]
        assert places == sorted(set(places))
        assert balances.find("default", after=places[0], most=1) == found[1:2]
        assert balances.find("default", after=places[2]) == []

    def test_a_search_finds_a_part_of_the_owners_name(self, balances: Balances) -> None:
        for owner in ("ada", "Adam", "a%a", "a_a", "eve"):
            given(balances, ADA._replace(owner=owner))

        def found(search: str) -> list[str]:
            return [balance.account.owner for _, balance in balances.find("default", search=search)]

        assert found("AD") == ["ada", "Adam"]
        assert found("a%a") == ["a%a"]
        assert found("_") == ["a_a"]
        assert found("nobody") == []

    def test_a_removed_balance_is_listed_nowhere_and_a_new_one_last(self, balances: Balances) -> None:
        for account in (ADA, EVE):
            given(balances, account)
        assert balances.remove(ADA)
        assert not balances.remove(ADA)
        assert [balance.account for _, balance in balances.find("default")] == [EVE]
        given(balances)
        assert [balance.account for _, balance in balances.find("default")] == [EVE, ADA]
