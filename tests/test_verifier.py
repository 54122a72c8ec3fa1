"""Credential → Decision: the whole of it and its two halves, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drawing import odd_texts
from engine_bed import FOREIGN, OPERATOR, POLICY, STATIC, Bed, opened, other
from hypothesis import given
from hypothesis import strategies as st

from keyrack import Access, Allowed, Denied, Policy, Reason
from keyrack.core.credential import write


class TestTexts:
    @given(odd_texts, st.booleans())
    def test_no_text_does_more_than_be_refused(self, text: str, foreign: bool) -> None:
        decision = BEDS[foreign].verifier.verify(text, Access())
        assert isinstance(decision, Denied)
        assert decision.key is None
        assert decision.reason in (Reason.MISSING, Reason.MALFORMED, Reason.UNKNOWN)

    @pytest.mark.spec("CO-9")
    def test_what_is_no_key_of_ours_is_malformed_and_what_could_be_one_is_unknown(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        expected = {
            "": "missing",
            "x": "malformed",
            text[:-1]: "malformed",
            text[:-1] + ("0" if text[-1] != "0" else "1"): "malformed",
            f" {text}": "malformed",
            text + "\0": "malformed",
            "x" * 513: "malformed",
            FOREIGN: "malformed",
            other(text): "unknown",
            write("kr", "live", "0" * 12, "A" * 32): "unknown",
            text: "ok",
        }
        assert {one: memory.verdict(one) for one in expected} == expected

    def test_where_foreign_keys_exist_any_other_text_could_be_one(self, static: Bed) -> None:
        _, text = static.mint("a:b")
        wrong_checksum = text[:-1] + ("0" if text[-1] != "0" else "1")
        expected = {
            FOREIGN: "ok",
            FOREIGN[:-1]: "unknown",
            "x": "unknown",
            "x" * 513: "malformed",
            "é" * 40: "malformed",
            wrong_checksum: "malformed",
            text: "ok",
            other(text): "unknown",
        }
        assert {one: static.verdict(one) for one in expected} == expected

    def test_what_extract_found_instead_of_a_key_is_told(self, memory: Bed) -> None:
        for reason in (Reason.MISSING, Reason.AMBIGUOUS):
            decision = memory.verifier.verify(reason, Access())
            assert decision == Denied(reason)


ACCESSES = [
    Access(),
    Access(scopes=("logs:read",)),
    Access(scopes=("logs:write",)),
    Access(tenant="other"),
    Access(environments=("test",)),
    Access(prefixes=("ci",)),
]


class TestHalves:
    """`identify` and `allow` are the two halves of a decision, with a handler in between."""

    @pytest.mark.parametrize("access", ACCESSES)
    def test_both_halves_together_decide_as_the_whole(self, memory: Bed, access: Access) -> None:
        texts = [memory.mint("logs:read")[1], memory.mint("logs:*", networks=["10.0.0.0/8"])[1], "x", ""]
        disabled, text = memory.mint("logs:read")
        memory.issuer.disable(disabled.key.id, by=OPERATOR)
        for one in [*texts, text]:
            whole = memory.verifier.verify(one, access)
            first = memory.verifier.identify(one or Reason.MISSING, access)
            halves = memory.verifier.allow(first, access) if isinstance(first, Allowed) else first
            assert halves == whole

    def test_the_second_half_sees_the_key_as_it_is_by_then(self, memory: Bed) -> None:
        endings: dict[str, Callable[[str], object]] = {
            "revoked": lambda key_id: memory.issuer.revoke(key_id, by=OPERATOR),
            "disabled": lambda key_id: memory.issuer.disable(key_id, by=OPERATOR),
            "scope": lambda key_id: memory.issuer.update(key_id, {"scopes": []}, by=OPERATOR),
            "retired": lambda key_id: memory.issuer.rotate(
                key_id, by=OPERATOR, grace=timedelta(0), compromised=True
            ),
        }
        for expected, ending in endings.items():
            minted, text = memory.mint("logs:read")
            first = memory.verifier.identify(text, Access())
            assert isinstance(first, Allowed)
            ending(minted.key.id)
            second = memory.verifier.allow(first, Access(scopes=("logs:read",)))
            assert isinstance(second, Denied)
            assert second.reason == expected

    def test_a_version_that_is_gone_by_then_is_unknown(self, memory: Bed) -> None:
        _, text = memory.mint("logs:read")
        first = memory.verifier.identify(text, Access())
        assert isinstance(first, Allowed)
        with opened() as elsewhere:
            assert elsewhere.verifier.allow(first, Access()) == Denied(Reason.UNKNOWN)
        minted, _ = memory.mint("logs:read")
        stranger = first._replace(key=minted.key, secret=type(first.secret)(9, *_rest(first.secret)))
        assert memory.verifier.allow(stranger, Access()) == Denied(Reason.UNKNOWN)

    def test_only_the_second_half_is_charged_and_noted(self) -> None:
        with opened(policy=POLICY) as bed:
            _, text = bed.mint("logs:read")
            first = bed.verifier.identify(text, Access())
            assert isinstance(first, Allowed)
            assert first.rates == ()
            second = bed.verifier.allow(first, Access(cost=2))
            assert [rate.remaining for rate in second.rates] == [1]
            bed.verifier.notebook.flush(bed.stores.journal)
            (use,) = bed.stores.journal.uses([first.key.id]).values()
            assert use.uses == 1

    def test_a_refusal_in_the_first_half_is_final_and_noted(self, memory: Bed) -> None:
        memory.verifier.identify("x", Access(), ("GET /a", "r-1"))
        memory.verifier.notebook.flush(memory.stores.journal)
        ((_, refusal_noted),) = memory.stores.journal.refusals(after=0, most=9, tenant=None)
        assert (refusal_noted.reason, refusal_noted.operation) == (Reason.MALFORMED, "GET /a")

    def test_a_ceiling_holds_in_both_halves_and_in_the_whole(self, memory: Bed) -> None:
        _, text = memory.mint("logs:*")

        def ceiling(key: object) -> tuple[str, ...]:
            return ("logs:read", "other:write")

        for scope, expected in [("logs:read", True), ("logs:write", False), ("other:write", False)]:
            access = Access(scopes=(scope,))
            whole = memory.verifier.verify(text, access, ceiling=ceiling)
            first = memory.verifier.identify(text, access, ceiling=ceiling)
            assert isinstance(first, Allowed)
            assert first.scopes == ("logs:read",)
            second = memory.verifier.allow(first, access, ceiling=ceiling)
            assert isinstance(whole, Allowed) == isinstance(second, Allowed) == expected
        assert memory.verdict(text, "logs:write") == "ok"
        assert memory.verifier.verify("x", Access(), ceiling=ceiling) == Denied(Reason.MALFORMED)
        assert memory.verifier.identify("x", Access(), ceiling=ceiling) == Denied(Reason.MALFORMED)


def _rest(secret: Any) -> list[Any]:
    return [getattr(secret, name) for name in secret.__slots__ if name != "number"]


class TestTenants:
    def test_a_tenant_is_suspended_and_resumed_for_keys_that_were_in_use(self, bed: Bed) -> None:
        bed.tenants.create("acme", by=OPERATOR)
        _, text = bed.mint("a:b", tenant="acme")
        assert bed.verdict(text, service="query") == "ok"
        bed.tenants.suspend("acme", "query", by=OPERATOR)
        assert bed.verdict(text, service="query") == "suspended"
        assert bed.verdict(text, service="ingest") == "ok"
        bed.tenants.suspend("acme", "workspace", by=OPERATOR)
        assert bed.verdict(text) == "suspended"
        bed.tenants.resume("acme", "workspace", by=OPERATOR)
        bed.tenants.resume("acme", "query", by=OPERATOR)
        assert bed.verdict(text, service="query") == "ok"
        bed.tenants.delete("acme", by=OPERATOR)
        assert bed.verdict(text) == "suspended"

    def test_a_tenant_is_out_of_service_outside_its_dates(self, memory: Bed) -> None:
        memory.tenants.create("acme", by=OPERATOR)
        _, text = memory.mint("a:b", tenant="acme")
        dates = {"starts_at": memory.at + timedelta(hours=1), "ends_at": memory.at + timedelta(hours=2)}
        memory.tenants.update("acme", dates, by=OPERATOR)
        seen = []
        for _ in range(3):
            seen.append(memory.verdict(text))
            memory.passes(hours=1)
        assert seen == ["suspended", "ok", "suspended"]

    def test_within_one_tenant_keys_of_another_are_unknown_whatever_is_wrong_with_them(
        self, memory: Bed
    ) -> None:
        memory.tenants.create("acme", by=OPERATOR)
        _, ours = memory.mint("a:b")
        theirs, text = memory.mint("a:b", tenant="acme")
        memory.issuer.revoke(theirs.key.id, by=OPERATOR)
        decide = memory.verifier.verify
        assert isinstance(decide(ours, Access(), within="default"), Allowed)
        assert decide(text, Access(), within="default") == Denied(Reason.UNKNOWN)
        assert decide(text, Access(), within="acme").reason is Reason.REVOKED
        assert decide("x", Access(), within="acme") == Denied(Reason.MALFORMED)

    def test_a_tenant_that_is_named_must_be_the_keys_own(self, memory: Bed) -> None:
        _, text = memory.mint("a:b")
        assert memory.verdict(text, tenant="default") == "ok"
        assert memory.verdict(text, tenant="acme") == "tenant"


class TestPlaces:
    def test_a_key_is_unknown_outside_its_environment_and_prefix(self) -> None:
        with opened(policy=Policy(prefixes=("kr", "ci"))) as bed:
            _, live = bed.mint("a:b")
            _, test = bed.mint("a:b", environment="test", prefix="ci")
            assert [bed.verdict(text) for text in (live, test)] == ["ok", "unknown"]
            both = {"environments": ("live", "test")}
            assert [bed.verdict(text, **both) for text in (live, test)] == ["ok", "ok"]
            assert [bed.verdict(text, prefixes=("ci",), **both) for text in (live, test)] == ["unknown", "ok"]

    def test_a_role_is_a_ceiling_at_every_decision(self) -> None:
        with opened(policy=Policy(roles=POLICY.roles)) as bed:
            minted, text = bed.mint("logs:*", role="reader")
            assert [bed.verdict(text, scope) for scope in ("logs:read", "logs:write")] == ["ok", "scope"]
            bed.issuer.update(minted.key.id, {"role": None}, by=OPERATOR)
            assert bed.verdict(text, "logs:write") == "ok"

    def test_a_role_that_the_policy_no_longer_knows_leaves_nothing(self, tmp_path: Path) -> None:
        with opened("sqlite", folder=tmp_path, policy=Policy(roles=POLICY.roles)) as bed:
            _, text = bed.mint("logs:*", role="reader")
        with opened("sqlite", folder=tmp_path) as bed:
            assert [bed.verdict(text, *scopes) for scopes in ((), ("logs:read",))] == ["ok", "scope"]


class TestNotes:
    def test_what_was_decided_is_noted_once(self, bed: Bed) -> None:
        minted, text = bed.mint("a:b", owner="ann")
        for one in (text, text, other(text), other(text), "x"):
            bed.verifier.verify(one, Access(), ("GET /a", "r-1"))
        bed.verifier.verify(text, Access(scopes=("c:d",)), ("GET /a", "r-2"))
        bed.verifier.notebook.flush(bed.stores.journal)
        uses = bed.stores.journal.uses([minted.key.id])
        assert {slot: use.uses for slot, use in uses.items()} == {(minted.key.id, 1): 2}
        refused = [one for _, one in bed.stores.journal.refusals(after=0, most=9, tenant=None)]
        told = {(one.reason.value, one.times, one.key_id, one.caller, one.request_id) for one in refused}
        assert told == {
            ("scope", 1, minted.key.id, "ann", "r-2"),
            ("unknown", 2, None, None, "r-1"),
            ("malformed", 1, None, None, "r-1"),
        }
        assert bed.verifier.notebook.totals == {"allowed": 2, "scope": 1, "unknown": 2, "malformed": 1}


BEDS: dict[bool, Bed] = {}


@pytest.fixture(scope="module", autouse=True)
def long_lived_beds() -> Iterator[None]:
    """One engine without foreign keys and one with, for properties that ask many times."""
    with opened() as plain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOT_KEY", FOREIGN)
        with opened(policy=Policy(presets=POLICY.presets), static=STATIC) as with_foreign:
            BEDS.update({False: plain, True: with_foreign})
            yield
    BEDS.clear()
