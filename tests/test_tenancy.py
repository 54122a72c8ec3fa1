"""Tenants: who may change them, what each change leaves, and that an id is never given twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from keyrack import Access, Allowed, Authority, Denied, Reason, Verifier, Wish
from keyrack.core.errors import Conflict, NotFound, NotHeld, PreconditionFailed, ValidationFailed
from keyrack.core.events import EventKind, open_entry
from keyrack.stores.protocols import Excerpt, Kind, Listing
from keyrack.tenancy import Tenants
from keyrack.testing import FixedClock, open_memory

ADA = Authority.operator("ada")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def verifier(clock: FixedClock) -> Iterator[Verifier]:
    with open_memory(clock=clock) as opened:
        yield opened


@pytest.fixture
def tenants(verifier: Verifier) -> Tenants:
    return Tenants(verifier.stores, spread=verifier.spread)


def holder(verifier: Verifier, *scopes: str) -> Authority:
    """The authority of a key that was just minted with these scopes and proved."""
    minted = verifier.issuer().mint(Wish("holder", scopes=scopes), by=ADA)
    decision = verifier.verify(minted.secret or "", Access())
    if not isinstance(decision, Allowed):
        raise AssertionError(decision)
    return Authority.of(decision)


def last_event(verifier: Verifier) -> Any:
    entry = verifier.stores.keys.last()
    return open_entry(entry, verifier.stores.peppers)[0] if entry else None


def key_of(verifier: Verifier, tenant: str) -> str:
    return verifier.issuer().mint(Wish("deploy", scopes=["jobs:read"], tenant=tenant), by=ADA).secret or ""


def reason(verifier: Verifier, text: str, service: str | None = None) -> Reason | None:
    decision = verifier.verify(text, Access(service=service))
    return decision.reason if isinstance(decision, Denied) else None


def test_a_tenant_is_named_like_its_id_unless_it_is_given_a_name(tenants: Tenants) -> None:
    assert tenants.create("acme", by=ADA).name == "acme"
    assert tenants.create("beta", {"name": "Beta Ltd"}, by=ADA).name == "Beta Ltd"


def test_a_tenant_is_read_back_as_it_was_made(tenants: Tenants, clock: FixedClock) -> None:
    wish = {
        "name": "Acme",
        "starts_at": "2020-01-01T00:00:00Z",
        "ends_at": "2040-01-01T02:00:00+02:00",
        "limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
        "quota": {"type": "eventCount", "limit": 100},
        "metadata": {"plan": "basic"},
    }
    made = tenants.create("acme", wish, by=ADA)
    assert tenants.get("acme", by=ADA) == made
    assert made.ends_at == datetime(2040, 1, 1, tzinfo=UTC)
    assert made.created_at.timestamp() == clock.now
    assert (made.quota, made.metadata) == (wish["quota"], wish["metadata"])


@pytest.mark.parametrize("tenant_id", ["a", "0", "A_b-c", "a" * 36])
def test_ids_in_the_grammar_are_taken(tenants: Tenants, tenant_id: str) -> None:
    assert tenants.create(tenant_id, by=ADA).id == tenant_id


@pytest.mark.parametrize("tenant_id", ["", "_a", "-a", "a.b", "a/b", "a b", "é", "a" * 37, "a\n"])
def test_other_ids_are_refused(tenants: Tenants, tenant_id: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        tenants.create(tenant_id, {"name": "n"}, by=ADA)
    assert list(caught.value.details["fields"]) == ["id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", None),
        ("starts_at", "2030-01-01T00:00:00"),
        ("ends_at", "tomorrow"),
        ("limits", {"name": "minute"}),
        ("quota", [1]),
        ("metadata", "x"),
        ("plan", "basic"),
        ("suspended", ["ingest"]),
    ],
)
def test_a_field_outside_its_rule_is_refused_by_its_name(tenants: Tenants, field: str, value: object) -> None:
    with pytest.raises(ValidationFailed) as caught:
        tenants.create("acme", {field: value}, by=ADA)
    assert list(caught.value.details["fields"]) == [field]


def test_a_tenant_ends_after_it_starts_also_when_only_one_of_them_is_changed(tenants: Tenants) -> None:
    tenants.create("acme", {"starts_at": "2030-01-01T00:00:00Z"}, by=ADA)
    with pytest.raises(ValidationFailed, match="ends_at"):
        tenants.update("acme", {"ends_at": "2030-01-01T00:00:00Z"}, by=ADA)


@pytest.mark.parametrize("tenant_id", ["acme", "default"])
def test_an_id_that_is_taken_is_refused(tenants: Tenants, tenant_id: str) -> None:
    tenants.create("acme", by=ADA)
    with pytest.raises(Conflict) as caught:
        tenants.create(tenant_id, by=ADA)
    assert caught.value.code == "tenant_exists"


def test_the_id_of_a_deleted_tenant_is_never_given_again(tenants: Tenants, verifier: Verifier) -> None:
    tenants.create("acme", by=ADA)
    tenants.delete("acme", by=ADA)
    with pytest.raises(Conflict) as caught:
        tenants.create("acme", by=ADA)
    assert caught.value.code == "tenant_exists"
    assert verifier.stores.keys.record(Kind.TENANT, "acme") is not None


def test_a_deleted_tenant_is_not_found_by_anything(tenants: Tenants) -> None:
    tenants.create("acme", by=ADA)
    tenants.delete("acme", by=ADA)
    for call in (
        lambda: tenants.get("acme", by=ADA),
        lambda: tenants.update("acme", {"name": "x"}, by=ADA),
        lambda: tenants.suspend("acme", "ingest", by=ADA),
        lambda: tenants.resume("acme", "ingest", by=ADA),
        lambda: tenants.delete("acme", by=ADA),
    ):
        with pytest.raises(NotFound):
            call()


def test_the_keys_of_a_deleted_tenant_stop_and_none_is_minted_in_it(
    tenants: Tenants, verifier: Verifier
) -> None:
    tenants.create("acme", by=ADA)
    text = key_of(verifier, "acme")
    assert reason(verifier, text) is None
    tenants.delete("acme", by=ADA)
    assert reason(verifier, text) is Reason.SUSPENDED
    with pytest.raises(NotFound):
        key_of(verifier, "acme")


def test_the_default_tenant_cannot_be_deleted(tenants: Tenants) -> None:
    with pytest.raises(Conflict):
        tenants.delete("default", by=ADA)


@pytest.mark.parametrize(
    ("suspended", "asked", "refused"),
    [
        ("ingest", "ingest", True),
        ("ingest", "query", False),
        ("query", "query", True),
        ("query", None, False),
        ("workspace", "ingest", True),
        ("workspace", None, True),
    ],
)
def test_a_suspended_service_is_refused_until_it_is_resumed(
    tenants: Tenants, verifier: Verifier, suspended: str, asked: str | None, refused: bool
) -> None:
    tenants.create("acme", by=ADA)
    text = key_of(verifier, "acme")
    tenants.suspend("acme", suspended, by=ADA)
    assert reason(verifier, text, asked) is (Reason.SUSPENDED if refused else None)
    tenants.resume("acme", suspended, by=ADA)
    assert reason(verifier, text, asked) is None


def test_services_are_suspended_one_by_one_and_repeating_writes_nothing(
    tenants: Tenants, verifier: Verifier
) -> None:
    tenants.create("acme", by=ADA)
    tenants.suspend("acme", "query", by=ADA, reason="unpaid")
    assert last_event(verifier).data == {"service": "query", "reason": "unpaid"}
    both = tenants.suspend("acme", "ingest", by=ADA)
    assert both.suspended == ("ingest", "query")
    assert tenants.suspend("acme", "ingest", by=ADA).revision == both.revision
    assert tenants.resume("acme", "workspace", by=ADA).revision == both.revision


def test_a_service_that_there_is_not_is_refused(tenants: Tenants) -> None:
    tenants.create("acme", by=ADA)
    with pytest.raises(ValidationFailed, match="service"):
        tenants.suspend("acme", "billing", by=ADA)


def test_a_change_names_its_fields_and_null_clears(tenants: Tenants, verifier: Verifier) -> None:
    tenants.create("acme", {"ends_at": "2040-01-01T00:00:00Z", "metadata": {"a": 1}}, by=ADA)
    changed = tenants.update("acme", {"ends_at": None, "metadata": None, "limits": None}, by=ADA)
    assert (changed.ends_at, changed.metadata, changed.limits) == (None, {}, ())
    assert last_event(verifier).data == {"fields": ["ends_at", "limits", "metadata"]}


def test_a_stale_revision_changes_nothing(tenants: Tenants) -> None:
    made = tenants.create("acme", by=ADA)
    changed = tenants.update("acme", {"name": "New"}, by=ADA, if_match=made.revision)
    with pytest.raises(PreconditionFailed):
        tenants.update("acme", {"name": "Other"}, by=ADA, if_match=made.revision)
    with pytest.raises(PreconditionFailed):
        tenants.delete("acme", by=ADA, if_match=made.revision)
    assert tenants.get("acme", by=ADA) == changed


def test_each_change_leaves_its_event(tenants: Tenants, verifier: Verifier) -> None:
    tenants.create("acme", by=ADA)
    tenants.update("acme", {"name": "New"}, by=ADA)
    tenants.suspend("acme", "ingest", by=ADA)
    tenants.resume("acme", "ingest", by=ADA)
    tenants.delete("acme", by=ADA)
    entries = verifier.stores.keys.entries(Excerpt(subject="acme"))
    events = [open_entry(entry, verifier.stores.peppers)[0] for entry in entries]
    assert [event.kind for event in events] == [
        EventKind.TENANT_CREATED,
        EventKind.TENANT_UPDATED,
        EventKind.TENANT_SUSPENDED,
        EventKind.TENANT_RESUMED,
        EventKind.TENANT_DELETED,
    ]
    assert {event.actor for event in events} == {"operator:ada"}


def test_only_a_holder_of_tenants_manage_does_anything_here(tenants: Tenants, verifier: Verifier) -> None:
    tenants.create("acme", by=ADA)
    weak = holder(verifier, "keys:manage", "tenants:read")
    for call in (
        lambda: tenants.create("beta", by=weak),
        lambda: tenants.get("acme", by=weak),
        lambda: tenants.find(Listing(), by=weak),
        lambda: tenants.update("acme", {"name": "x"}, by=weak),
        lambda: tenants.suspend("acme", "ingest", by=weak),
        lambda: tenants.resume("acme", "ingest", by=weak),
        lambda: tenants.delete("acme", by=weak),
    ):
        with pytest.raises(NotHeld) as caught:
            call()
        assert caught.value.details == {"not_held": ["tenants:manage"]}
    strong = holder(verifier, "tenants:manage")
    assert tenants.create("beta", by=strong).id == "beta"
    assert last_event(verifier).actor == strong.name


def test_a_holder_that_was_revoked_meanwhile_changes_nothing(tenants: Tenants, verifier: Verifier) -> None:
    strong = holder(verifier, "tenants:manage")
    verifier.issuer().revoke(strong.key.id if strong.key else "", by=ADA)
    with pytest.raises(NotHeld):
        tenants.create("beta", by=strong)
    with pytest.raises(NotHeld):
        tenants.suspend("default", "workspace", by=strong)


def test_tenants_are_listed_in_pages_without_those_that_were_deleted(tenants: Tenants) -> None:
    for name in ("a1", "a2", "a3", "a4", "a5"):
        tenants.create(name, by=ADA)
    tenants.delete("a2", by=ADA)
    first, following = tenants.find(Listing(most=3), by=ADA)
    assert [tenant.id for tenant in first] == ["default", "a1", "a3"]
    second, end = tenants.find(Listing(most=3, after=following or 0), by=ADA)
    assert [tenant.id for tenant in second] == ["a4", "a5"]
    assert end is None


def test_tenants_of_keys_from_the_environment_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEY", "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zB")
    with Verifier.open("env:SERVICE_KEY", peppers="p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA") as fixed:
        tenants = Tenants(fixed.stores)
        for call in (
            lambda: tenants.create("acme", by=ADA),
            lambda: tenants.suspend("default", "workspace", by=ADA),
        ):
            with pytest.raises(Conflict) as caught:
                call()
            assert caught.value.code == "unsupported_store"
