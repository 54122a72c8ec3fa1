"""What a version remembers of accesses that passed: it spares work, and never changes an answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from asking import Question, proved_by
from drawing import LIVE, NOW, accesses, keys, secret_versions, tenants
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.checks import CHECKS, MAX_PASSED, Proved
from keyrack.core.model import Access, Allowed, Denied, Key, Reason, Secret, Tenant
from keyrack.core.prepared import below

SECONDS = NOW.timestamp()
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
    expires_at=NOW + timedelta(hours=1),
)
TENANT = Tenant("acme", "Acme", NOW - timedelta(days=90))
READ = Access(("logs:read",))


def fresh(key: Key = KEY, tenant: Tenant | None = TENANT) -> Proved:
    """A version that remembers nothing."""
    question = Question(key, key.versions[-1], READ, SECONDS, tenant, key.scopes, ("kr",))
    return proved_by(CHECKS, question)


def test_of_an_access_that_passed_only_what_time_can_change_is_asked_again() -> None:
    proved = fresh()
    assert isinstance(proved.check(READ, SECONDS), Allowed)
    assert proved.passed == {id(READ): READ}
    late = proved.check(READ, SECONDS + 3600)
    assert isinstance(late, Denied)
    assert late.reason is Reason.EXPIRED


def test_what_was_refused_is_not_remembered() -> None:
    proved = fresh()
    assert isinstance(proved.check(Access(("logs:write",)), SECONDS), Denied)
    assert not proved.passed


def test_a_version_that_may_do_less_remembers_nothing_of_the_one_that_it_was_made_from() -> None:
    proved = fresh()
    assert isinstance(proved.check(READ, SECONDS), Allowed)
    assert isinstance(below(proved, ("metrics:read",)).check(READ, SECONDS), Denied)


def test_a_rule_that_nobody_called_timeless_is_asked_each_time() -> None:
    asked = []
    proved = replace(fresh(), rules=(*CHECKS, lambda proved, access, at: asked.append(at)))
    for at in (1.0, 2.0, 3.0):
        proved.check(READ, at)
    assert asked == [1.0, 2.0, 3.0]


def test_however_many_accesses_there_are_a_few_are_remembered() -> None:
    proved = fresh()
    many = [Access(("logs:read",)) for _ in range(3 * MAX_PASSED)]
    for access in many:
        assert isinstance(proved.check(access, SECONDS), Allowed)
        assert 0 < len(proved.passed) <= MAX_PASSED


@given(
    key=keys(), secret=secret_versions(), tenant=st.none() | tenants(), asked=st.lists(accesses, max_size=5)
)
def test_no_order_of_accesses_and_times_changes_an_answer(
    key: Key, secret: Secret, tenant: Tenant | None, asked: list[Access]
) -> None:
    key = replace(key, versions=(secret,))
    remembering = fresh(key, tenant)
    for at in (SECONDS - 7200, SECONDS, SECONDS + 7200):
        for access in asked:
            assert remembering.check(access, at) == fresh(key, tenant).check(access, at)
