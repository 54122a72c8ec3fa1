"""The rules of a decision: in their order, each of them, and against an independent reading of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import combinations
from typing import Any

import pytest
from asking import Question, ask, first_refusal
from drawing import LIVE, NOW, accesses, keys, scope_sets, secret_versions, tenants
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.checks import CHECKS, Rule, rules_for
from keyrack.core.model import Access, Block, Key, Reason, Status, Tenant, VersionState
from keyrack.core.scopes import covers

HOUR = timedelta(hours=1)
KEY = Key(
    id="K" * 12,
    prefix="kr",
    environment="live",
    tenant="acme",
    name="n",
    scopes=("logs:read",),
    created_at=NOW - timedelta(days=90),
    created_by="operator:a",
    versions=(LIVE,),
    ending="wxyz",
    networks=(ip_network("192.0.2.0/24"),),
    expires_at=NOW + HOUR,
)
TENANT = Tenant("acme", "Acme", NOW - timedelta(days=90), starts_at=NOW - HOUR, ends_at=NOW + HOUR)
ACCESS = Access(("logs:read",), tenant="acme", service="query", address=ip_address("192.0.2.7"))
GOOD = Question(KEY, LIVE, ACCESS, NOW.timestamp(), TENANT, KEY.scopes, ("kr",))


def of_key(**changed: Any) -> Callable[[Question], Question]:
    return lambda question: replace(question, key=replace(question.key, **changed))


def of_access(**changed: Any) -> Callable[[Question], Question]:
    return lambda question: replace(question, access=replace(question.access, **changed))


def ended(ago: timedelta) -> Callable[[Question], Question]:
    def end(question: Question) -> Question:
        secret = replace(question.secret, not_after=NOW - ago)
        return replace(question, secret=secret, key=replace(question.key, versions=(secret,)))

    return end


def suspended(question: Question) -> Question:
    return replace(question, tenant=replace(question.tenant or TENANT, suspended=("query",)))


def blocked(question: Question) -> Question:
    block = Block("b", ip_network("0.0.0.0/0"), NOW - HOUR, expires_at=NOW + HOUR)
    return replace(question, tenant=replace(question.tenant or TENANT, blocks=(block,)))


FAULTS: list[tuple[Reason, Callable[[Question], Question]]] = [
    (Reason.UNKNOWN, ended(timedelta(days=30))),
    (Reason.REVOKED, of_key(status=Status.REVOKED)),
    (Reason.DISABLED, of_key(status=Status.DISABLED)),
    (Reason.EXPIRED, of_key(expires_at=NOW)),
    (Reason.RETIRED, ended(timedelta(0))),
    (Reason.UNKNOWN, of_access(environments=("test",))),
    (Reason.TENANT, of_access(tenant="other")),
    (Reason.SUSPENDED, suspended),
    (Reason.NETWORK, blocked),
    (Reason.NETWORK, of_access(address=ip_address("198.51.100.1"))),
    (Reason.SCOPE, of_access(scopes=("logs:write",))),
]
"""One for each rule, in the order in which DESIGN.md names the refusals."""


def applicable(question: Question) -> tuple[Rule, ...]:
    return rules_for(question.key, question.secret, question.tenant)


def reason(question: Question) -> Reason | None:
    denied = first_refusal(applicable(question), question)
    return denied.reason if denied else None


def test_a_good_key_is_refused_by_no_rule() -> None:
    assert reason(GOOD) is None
    assert [rule for rule in CHECKS if ask(rule, GOOD) is not None] == []


def test_there_is_a_fault_for_every_rule_in_the_order_of_the_rules() -> None:
    refused_by = [[rule for rule in CHECKS if ask(rule, fault(GOOD)) is not None] for _, fault in FAULTS]
    assert [rules[0] for rules in refused_by] == list(CHECKS)


@pytest.mark.parametrize(("expected", "fault"), FAULTS)
def test_each_fault_has_its_reason(expected: Reason, fault: Callable[[Question], Question]) -> None:
    assert reason(fault(GOOD)) is expected


@pytest.mark.parametrize(("first", "second"), list(combinations(range(len(FAULTS)), 2)))
def test_of_two_faults_the_one_that_comes_first_is_told(first: int, second: int) -> None:
    (expected, earlier), (_, later) = FAULTS[first], FAULTS[second]
    assert reason(earlier(later(GOOD))) is expected


def test_of_all_faults_at_once_the_first_is_told() -> None:
    question = GOOD
    for _, fault in reversed(FAULTS):
        question = fault(question)
    assert reason(question) is Reason.UNKNOWN


def expected_reason(question: Question) -> Reason | None:
    """DESIGN.md, "A decision", 5, read once more and written down without looking at the rules."""
    key, secret, access, tenant = question.key, question.secret, question.access, question.tenant
    now = datetime.fromtimestamp(question.at, UTC)
    if secret.not_after is not None and now - secret.not_after >= timedelta(days=30):
        return Reason.UNKNOWN
    if key.status is not Status.ACTIVE:
        return Reason.REVOKED if key.status is Status.REVOKED else Reason.DISABLED
    if key.expires_at is not None and key.expires_at <= now:
        return Reason.EXPIRED
    if secret.state is not VersionState.LIVE or (secret.not_after is not None and secret.not_after <= now):
        return Reason.RETIRED
    if key.environment not in access.environments:
        return Reason.UNKNOWN
    if key.prefix not in (access.prefixes or question.prefixes):
        return Reason.UNKNOWN
    if access.tenant not in (None, key.tenant):
        return Reason.TENANT
    if tenant is None:
        return Reason.STORE_DOWN
    outside = (tenant.starts_at and now < tenant.starts_at) or (tenant.ends_at and tenant.ends_at <= now)
    if tenant.deleted_at or outside or {"workspace", access.service} & set(tenant.suspended):
        return Reason.SUSPENDED
    for block in tenant.blocks:
        stands = block.expires_at is None or block.expires_at > now
        if stands and access.address is not None and access.address in block.network:
            return Reason.NETWORK
    if key.networks and not any(access.address in one for one in key.networks if access.address):
        return Reason.NETWORK
    return None if all(covers(question.scopes, one) for one in access.scopes) else Reason.SCOPE


around = st.sampled_from(
    [None, *(NOW + timedelta(days=days) for days in (-40, -30, -29, -1, 0, 1)), NOW - timedelta(seconds=1)]
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    version = draw(secret_versions(not_after=draw(around)))
    versions = draw(st.permutations([version, replace(LIVE, number=2)])) if draw(st.booleans()) else [version]
    key = draw(keys(versions=tuple(versions), expires_at=draw(around)))
    tenant = draw(st.none() | tenants(starts_at=draw(around), ends_at=draw(around), deleted_at=None))
    scopes = draw(st.just(key.scopes) | scope_sets)
    return Question(key, version, draw(accesses), NOW.timestamp(), tenant, scopes, ("kr",))


@given(questions())
def test_every_question_is_answered_as_the_design_says(question: Question) -> None:
    assert reason(question) is expected_reason(question)


@given(questions())
def test_leaving_out_the_rules_that_cannot_refuse_a_version_changes_no_answer(question: Question) -> None:
    assert first_refusal(applicable(question), question) == first_refusal(CHECKS, question)


@given(questions())
def test_a_holder_is_named_in_every_refusal_but_unknown(question: Question) -> None:
    denied = first_refusal(CHECKS, question)
    if denied is not None:
        named = (None, None) if denied.reason is Reason.UNKNOWN else (question.key, question.secret)
        assert (denied.key, denied.secret) == named


def test_a_refusal_for_scope_says_what_was_asked_for_and_what_is_missing() -> None:
    denied = first_refusal(CHECKS, of_access(scopes=("logs:write", "logs:read", "a:b"))(GOOD))
    assert denied is not None
    assert denied.details == {
        "required_scopes": ["logs:write", "logs:read", "a:b"],
        "missing_scopes": ["logs:write", "a:b"],
    }


@pytest.mark.parametrize(
    ("changed", "service"),
    [
        ({"suspended": ("query",)}, "query"),
        ({"suspended": ("query", "workspace")}, "workspace"),
        ({"deleted_at": NOW}, "workspace"),
        ({"starts_at": NOW + HOUR}, "workspace"),
        ({"ends_at": NOW}, "workspace"),
    ],
)
def test_a_suspended_tenant_is_told_which_service_it_is_about(changed: Any, service: str) -> None:
    denied = first_refusal(CHECKS, replace(GOOD, tenant=replace(TENANT, **changed)))
    assert denied is not None
    assert denied.details == {"service": service}


@pytest.mark.parametrize("suspended", [(), ("ingest",)])
def test_a_tenant_is_in_service_from_its_first_instant_on(suspended: tuple[str, ...]) -> None:
    tenant = replace(TENANT, starts_at=NOW, ends_at=NOW + timedelta(microseconds=1), suspended=suspended)
    assert reason(replace(GOOD, tenant=tenant)) is None


def test_a_key_works_until_the_instant_before_its_expiry() -> None:
    assert reason(of_key(expires_at=NOW + timedelta(milliseconds=1))(GOOD)) is None


@pytest.mark.parametrize(
    ("network", "ends_in", "expected"),
    [
        ("192.0.2.0/24", None, Reason.NETWORK),
        ("192.0.2.0/24", timedelta(seconds=1), Reason.NETWORK),
        ("192.0.2.0/24", timedelta(0), None),
        ("198.51.100.0/24", None, None),
        ("198.51.100.0/24", HOUR, None),
    ],
)
def test_a_block_holds_for_its_network_until_the_instant_before_it_expires(
    network: str, ends_in: timedelta | None, expected: Reason | None
) -> None:
    ends_at = None if ends_in is None else NOW + ends_in
    block = Block("b", ip_network(network), NOW - HOUR, expires_at=ends_at)
    question = replace(GOOD, tenant=replace(TENANT, blocks=(block,)))
    assert reason(question) is expected
    nowhere = replace(question, access=replace(ACCESS, address=None), key=replace(KEY, networks=()))
    assert reason(nowhere) is None


def test_a_key_with_networks_is_refused_without_an_address_and_from_the_other_family() -> None:
    assert reason(of_access(address=None)(GOOD)) is Reason.NETWORK
    assert reason(of_access(address=ip_address("::ffff:192.0.2.7"))(GOOD)) is Reason.NETWORK
    assert reason(of_access(address=None)(of_key(networks=())(GOOD))) is None
