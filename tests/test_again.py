"""What a Verifier knows beside decisions: whether work may go on, tenants, and the bound of its store."""

from __future__ import annotations

import pytest
from engine_bed import OPERATOR, Bed, opened

from keyrack import Access, Allowed, Denied, Reason

READ = Access(("logs:read",), service="query")


def identified(bed: Bed, text: str) -> Allowed:
    decision = bed.verifier.identify(text, READ)
    assert isinstance(decision, Allowed)
    return decision


@pytest.fixture
def acme(memory: Bed) -> Bed:
    memory.tenants.create("acme", by=OPERATOR)
    return memory


def test_work_that_goes_on_is_asked_for_again_without_spending_or_noting(acme: Bed) -> None:
    _, text = acme.mint("logs:read", tenant="acme", limits=[{"name": "a", "limit": 1, "window_seconds": 60}])
    allowed = identified(acme, text)
    for _ in range(3):
        assert isinstance(acme.verifier.recheck(allowed, READ), Allowed)
    assert list(acme.verifier.notebook._notes) == []
    assert isinstance(acme.verifier.allow(allowed, READ), Allowed)


def test_work_ends_with_the_right_to_it(acme: Bed) -> None:
    def verdict(allowed: Allowed, **options: object) -> Reason | None:
        decision = acme.verifier.recheck(allowed, READ, **options)
        return decision.reason if isinstance(decision, Denied) else None

    first, second = (acme.mint("logs:read", tenant="acme") for _ in range(2))
    one, other = identified(acme, first[1]), identified(acme, second[1])
    acme.issuer.disable(first[0].key.id, by=OPERATOR)
    assert (verdict(one), verdict(other)) == (Reason.DISABLED, None)
    acme.issuer.revoke(first[0].key.id, by=OPERATOR)
    assert verdict(one) is Reason.REVOKED
    assert verdict(other, ceiling=lambda key: ()) is Reason.SCOPE
    acme.tenants.suspend("acme", "query", by=OPERATOR)
    assert verdict(other) is Reason.SUSPENDED


def test_tenants_are_known_as_decisions_see_them(acme: Bed) -> None:
    assert acme.verifier.tenant("nobody") is None
    acme.verifier.tenants().suspend("acme", "ingest", by=OPERATOR)
    tenant = acme.verifier.tenant("acme")
    assert tenant is not None
    assert tenant.suspended == ("ingest",)


def test_a_tenant_without_a_record_is_named_once_its_key_was_refused(acme: Bed) -> None:
    _, text = acme.mint("logs:read", tenant="acme")
    replica = acme.verifier.follower.replica
    lost = replica.tenants.pop("acme")
    assert acme.verifier.missing_tenants == []
    assert acme.verdict(text, "logs:read") == "store_down"
    assert acme.verifier.missing_tenants == ["acme"]
    replica.tenants["acme"] = lost
    acme.verifier.tenants().update("acme", {"name": "Acme"}, by=OPERATOR)
    assert acme.verifier.missing_tenants == []
    assert acme.verdict(text, "logs:read") == "ok"


def test_a_store_that_is_made_with_a_bound_keeps_it_for_all_nodes() -> None:
    with opened("sqlite", max_stale=15) as bed:
        assert bed.verifier.max_stale == 15
        with opened("sqlite", folder=bed.folder, clock=bed.clock, max_stale=40) as other:
            assert other.verifier.max_stale == 15
