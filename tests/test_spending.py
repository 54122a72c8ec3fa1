"""The last step of a decision: limits by key, tenant and address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from engine_bed import OPERATOR, POLICY, Bed, opened, other

from keyrack import Access, Allowed, Denied, Policy, Reason, Verifier
from keyrack.core.addresses import neighbourhood
from keyrack.core.checks import Charge
from keyrack.core.errors import Unavailable
from keyrack.core.model import Limit, Rate
from keyrack.spending import Spender
from keyrack.stores.counters import MemoryCounters, Spend, Taken


def _asked(bed: Bed, text: str, access: Access, half: str) -> tuple[str, list[tuple[str, int, int]]]:
    """What a verifier says, at once or in two halves, and what it says is left."""
    if half == "verify":
        decision = bed.verifier.verify(text, access)
    else:
        identified = bed.verifier.identify(text, Access())
        assert isinstance(identified, Allowed)
        decision = bed.verifier.allow(identified, access)
    verdict = decision.reason.value if isinstance(decision, Denied) else "ok"
    return verdict, [(rate.name, rate.limit, rate.remaining) for rate in decision.rates]


class TestLimits:
    def test_a_limit_is_taken_by_what_passes_and_by_nothing_else(self) -> None:
        with opened(policy=POLICY) as bed:
            _, text = bed.mint("logs:read")
            verdicts = [bed.verdict(text, scope) for scope in ("logs:read", "logs:write") * 5]
            assert verdicts == ["ok", "scope"] * 3 + ["rate", "scope"] * 2
            bed.passes(61)
            assert bed.verdict(text) == "ok"

    def test_a_refusal_for_rate_says_when_to_come_again(self) -> None:
        with opened(policy=POLICY) as bed:
            minted, text = bed.mint("logs:read")
            allowed = bed.verifier.verify(text, Access(cost=3))
            assert [(rate.name, rate.limit, rate.remaining) for rate in allowed.rates] == [("requests", 3, 0)]
            refused = bed.verifier.verify(text, Access())
            assert isinstance(refused, Denied)
            assert (refused.reason, refused.key, refused.retry_after) == (Reason.RATE, minted.key, 60)
            assert bed.verdict(text, cost=0) == "ok"

    @pytest.mark.spec("CO-39")
    def test_a_refusal_that_charges_nothing_says_what_is_left(self) -> None:
        policy = Policy(limits=(Limit("requests", 3, 60),), failure_limit=Limit("failures", 5, 60))
        with opened(policy=policy) as bed:
            _, text = bed.mint("logs:read")
            bed.verifier.verify(text, Access())
            for _ in range(2):
                scope = bed.verifier.verify(text, Access(("logs:write",)))
                assert [(rate.name, rate.remaining) for rate in scope.rates] == [("requests", 2)]
                missing = bed.verifier.verify(Reason.MISSING, Access())
                assert [(rate.name, rate.remaining) for rate in missing.rates] == [("failures", 5)]

    def test_a_key_may_have_its_own_limit_in_the_place_of_the_default(self) -> None:
        with opened(policy=POLICY) as bed:
            limits = [Limit("requests", 1, 60), Limit("burst", 9, 1)]
            _, text = bed.mint("logs:read", limits=limits)
            allowed = bed.verifier.verify(text, Access())
            assert [(rate.name, rate.limit) for rate in allowed.rates] == [("requests", 1), ("burst", 9)]
            assert bed.verdict(text) == "rate"

    @pytest.mark.parametrize("half", ["verify", "allow"])
    def test_an_access_may_limit_each_key_beside_its_own_limits(self, half: str) -> None:
        access = Access(("logs:read",), limits=(Limit("requests", 2, 60),))
        with opened() as bed:
            for _ in range(2):
                _, text = bed.mint("logs:read", limits=[Limit("requests", 9, 60)])
                found = [_asked(bed, text, access, half) for _ in range(3)]
                assert [decision[0] for decision in found] == ["ok", "ok", "rate"]
                assert found[0][1] == [("requests", 9, 8), ("requests", 2, 1)]

    def test_keys_of_a_tenant_share_its_limit(self, memory: Bed) -> None:
        memory.tenants.create(
            "acme", {"limits": [{"name": "all", "limit": 3, "window_seconds": 60}]}, by=OPERATOR
        )
        texts = [memory.mint("a:b", tenant="acme")[1] for _ in range(2)]
        assert [memory.verdict(text) for text in texts * 2] == ["ok", "ok", "ok", "rate"]

    @pytest.mark.spec("CO-39")
    def test_refused_credentials_are_counted_by_address_and_good_ones_are_not(self) -> None:
        policy = Policy(failure_limit=Limit("failures", 3, 60))
        with opened(policy=policy) as bed:
            revoked, ended = bed.mint("a:b")
            bed.issuer.revoke(revoked.key.id, by=OPERATOR)
            _, good = bed.mint("a:b")
            here = {"address": ip_address("2001:db8::1")}
            neighbour = {"address": ip_address("2001:db8::2")}
            elsewhere = {"address": ip_address("2001:db8:0:1::1")}
            assert [bed.verdict("", **here) for _ in range(9)] == ["missing"] * 9
            seen = [bed.verdict(text, **here) for text in ("x", other(good), ended, "x")]
            assert seen == ["malformed", "unknown", "revoked", "rate"]
            assert bed.verdict("x", **neighbour) == "rate"
            assert bed.verdict("x", **elsewhere) == "malformed"
            assert bed.verdict(ended, **here) == "revoked"
            assert bed.verdict(good, **here) == "ok"
            bed.passes(61)
            assert bed.verdict("x", **here) == "malformed"

    def test_a_flood_from_many_addresses_takes_no_room_from_the_limits_of_keys(self) -> None:
        policy = Policy(limits=(Limit("requests", 2, 600),), failure_limit=Limit("failures", 3, 600))
        with opened(policy=policy) as bed:
            flood = [ip_address((0x2001_0DB8 << 96) + (number << 64)) for number in range(11_000)]
            for number, address in enumerate(flood):
                bed.verdict("garbage", address=address)
                if number % 1_000 == 0:
                    bed.verifier._spender.share_failures(bed.clock.now)
            bed.verifier._spender.share_failures(bed.clock.now)
            keys = [bed.mint("logs:read")[1] for _ in range(5)]
            assert [bed.verdict(text) for text in keys * 3] == ["ok"] * 10 + ["rate"] * 5
            assert bed.verdict("garbage", address=flood[-1]) == "rate", "the rest share one bucket"
            bed.passes(661)
            bed.verifier._spender.share_failures(bed.clock.now)
            assert bed.verdict("garbage", address=flood[-1]) == "malformed"


class DownCounters(MemoryCounters):
    """Counters that can be neither written nor read."""

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        raise Unavailable("The counters cannot be written.")

    peek = take


class CallsCounted(MemoryCounters):
    """Counters that know how often they were added to, and fail at first if they are told to."""

    def __init__(self, *, failing: int = 0):
        super().__init__()
        self.calls = 0
        self._failing = failing

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        self.calls += 1
        if self.calls <= self._failing:
            raise Unavailable("The counters cannot be written.")
        return super().add(spends, now)


class TestDown:
    """What cannot be counted is refused, or passes where an operator said so; both are told."""

    ALLOWED = Allowed(None, None, ())
    CHARGES = (Charge("key/a/m", Limit("m", 5, 60)),)

    @pytest.mark.parametrize(("open_when_down", "outcome"), [(False, "refused"), (True, "passed")])
    def test_it_is_refused_or_passes_and_is_told(self, open_when_down: bool, outcome: str) -> None:
        spender = Spender(DownCounters(), Policy(), open_when_down=open_when_down)
        decisions = [spender.take(self.ALLOWED, self.CHARGES, Access(), 1000.0) for _ in range(3)]
        assert all(isinstance(decision, Allowed) is open_when_down for decision in decisions)
        assert spender.uncounted == {"refused": 0, "passed": 0} | {outcome: 3}

    def test_the_credential_is_not_to_blame(self) -> None:
        decision = Spender(DownCounters(), Policy()).take(self.ALLOWED, self.CHARGES, Access(), 1000.0)
        assert isinstance(decision, Denied)
        assert decision.reason is Reason.STORE_DOWN


class FarCounters(MemoryCounters):
    """Counters that say that they are behind a network."""

    blocks = True


class TestWaiting:
    """What an event loop has to hand to a thread, and nothing else."""

    ACCESS = Access(("a:b",))
    BOUNDED = Access(("a:b",), limits=(Limit("route", 5, 60),))

    def waits(self, bed: Bed, access: Access) -> list[bool]:
        free, limited = bed.mint("a:b")[1], bed.mint("a:b", limits=[Limit("m", 5, 60)])[1]
        return [bed.verifier.waits(text, access) for text in (free, limited, other(limited), "garbage", "")]

    def test_counters_at_hand_keep_nobody_waiting(self, memory: Bed) -> None:
        assert self.waits(memory, self.BOUNDED) == [False] * 5

    def test_counters_behind_a_network_keep_waiting_what_they_limit(self, memory: Bed) -> None:
        far = Verifier(replace(memory.stores, counters=FarCounters()))
        far.follower.load()
        memory.verifier = far
        memory.issuer = far.issuer()
        assert self.waits(memory, self.ACCESS) == [False, True, False, False, False]
        assert self.waits(memory, self.BOUNDED) == [True, True, False, False, False]


class TestSharing:
    """Failures are counted where they happen, and once a second by all nodes together."""

    LIMIT = Limit("failures", 6, 60)

    def refused(self, spender: Spender, at: float, times: int) -> list[str]:
        address = ip_address("192.0.2.7")
        denied = Denied(Reason.MALFORMED)
        return [spender.refuse(denied, (), address, at).reason.value for _ in range(times)]

    def test_nodes_block_an_address_for_what_all_of_them_counted(self) -> None:
        counters, policy = MemoryCounters(), Policy(failure_limit=self.LIMIT)
        here, there = Spender(counters, policy), Spender(counters, policy)
        assert self.refused(here, 1000.0, 3) + self.refused(there, 1000.0, 3) == ["malformed"] * 6
        for node in (here, there):
            node.share_failures(1001.0)
        assert self.refused(there, 1001.0, 1) == ["rate"]
        assert self.refused(here, 1001.0, 1) == ["malformed"]
        assert self.refused(there, 1100.0, 1) == ["malformed"]

    @pytest.mark.parametrize("shared", [1001.0, 1050.0, 1062.0])
    def test_failures_that_are_shared_late_block_no_longer(self, shared: float) -> None:
        spender = Spender(MemoryCounters(), Policy(failure_limit=self.LIMIT))
        self.refused(spender, 1000.0, 6)
        spender.share_failures(shared)
        assert self.refused(spender, 1059.5, 1) == ["rate"]
        assert self.refused(spender, 1060.0, 1) == ["malformed"]

    def test_an_address_is_blocked_by_the_time_of_its_own_failures(self) -> None:
        spender = Spender(MemoryCounters(), Policy(failure_limit=self.LIMIT))
        self.refused(spender, 1000.0, 6)
        spender.refuse(Denied(Reason.MALFORMED), (), ip_address("192.0.2.8"), 1050.0)
        spender.share_failures(1051.0)
        assert self.refused(spender, 1060.0, 1) == ["malformed"]

    def test_failures_that_could_not_be_shared_are_shared_later(self) -> None:
        counters, policy = CallsCounted(failing=1), Policy(failure_limit=self.LIMIT)
        here, there = Spender(counters, policy), Spender(counters, policy)
        self.refused(here, 1000.0, 3)
        with pytest.raises(Unavailable):
            here.share_failures(1001.0)
        self.refused(here, 1002.0, 3)
        here.share_failures(1003.0)
        self.refused(there, 1003.0, 1)
        there.share_failures(1004.0)
        assert self.refused(there, 1004.0, 1) == ["rate"]

    def test_failures_of_a_clock_that_was_ahead_do_not_block_until_then(self) -> None:
        spender = Spender(MemoryCounters(), Policy(failure_limit=self.LIMIT))
        self.refused(spender, 9000.0, 6)
        spender.share_failures(1000.0)
        assert self.refused(spender, 1000.0, 1) == ["rate"]
        assert self.refused(spender, 1120.0, 1) == ["malformed"]

    def test_failures_of_many_addresses_are_shared_in_one_step(self) -> None:
        """Else a slow network would hold up the thread that follows the log."""
        counters = CallsCounted()
        spender = Spender(counters, Policy(failure_limit=Limit("failures", 1, 60)))
        for number in range(500):
            spender.refuse(Denied(Reason.MALFORMED), (), ip_address(number), 1000.0)
        spender.share_failures(1001.0)
        spender.share_failures(1002.0)
        assert (counters.calls, counters.entries()) == (1, 500)

    def test_without_a_limit_for_failures_nothing_is_counted(self) -> None:
        spender = Spender(DownCounters(), Policy())
        assert self.refused(spender, 1000.0, 50) == ["malformed"] * 50
        spender.share_failures(1001.0)

    def test_what_is_refused_says_what_is_left_and_stands_when_that_cannot_be_read(self) -> None:
        charges = (Charge("key/a/m", Limit("m", 5, 60)),)
        denied = Denied(Reason.SCOPE)
        told = Spender(MemoryCounters(), Policy()).refuse(denied, charges, None, 1000.0)
        assert [(rate.name, rate.remaining) for rate in told.rates] == [("m", 5)]
        assert Spender(DownCounters(), Policy()).refuse(denied, charges, None, 1000.0) == denied

    def test_an_ipv6_address_is_counted_with_its_network_of_64_bits(self) -> None:
        texts = ["192.0.2.7", "2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"]
        found = [neighbourhood(ip_address(text)) for text in texts]
        assert found == ["192.0.2.7", "2001:db8::/64", "2001:db8::/64", "2001:db8:0:1::/64"]
        assert neighbourhood(None) == "None"


def test_what_came_to_nothing_costs_no_limit(bed: Bed) -> None:
    _, text = bed.mint("logs:read", limits=[Limit("minute", 2, 60)])
    _, free = bed.mint("logs:read")
    access = Access(("logs:read",))
    for one, left in ((text, [("minute", 2)]), (free, [])):
        identified = bed.verifier.identify(one, Access())
        assert isinstance(identified, Allowed)
        for _ in range(5):
            spent = bed.verifier.spend(identified, access)
            assert isinstance(spent.decision, Allowed)
            denied = bed.verifier.give_back(spent, Denied(Reason.SCOPE, identified.key, identified.secret))
            assert [(rate.name, rate.remaining) for rate in denied.rates] == left
    assert _asked(bed, text, access, "verify") == ("ok", [("minute", 2, 1)])
