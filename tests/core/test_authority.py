"""Nobody grants more than they hold: whatever a granted key may do, its giver may do too."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest
from asking import Question, first_refusal
from drawing import (
    LIVE,
    NOW,
    accesses,
    addresses,
    concrete_scopes,
    keys,
    limit_sets,
    network_sets,
    scope_sets,
    scopes,
)
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from keyrack.core import authority
from keyrack.core.authority import (
    ASSIGN_ENVIRONMENTS,
    ASSIGN_LIMITS,
    ASSIGN_OWNERS,
    MANAGE_KEYS,
    MANAGE_TENANTS,
    READ_KEYS,
    ROTATE_SELF,
    Authority,
    check_grant,
    check_own,
    needed_to_read,
    needed_to_rotate,
)
from keyrack.core.checks import CHECKS
from keyrack.core.errors import NotHeld, SecretDated
from keyrack.core.model import Access, Allowed, Key, Limit, Secret, Status, Tenant, VersionState
from keyrack.core.scopes import meet
from keyrack.stores.counters import MemoryCounters, Spend

HOUR = timedelta(hours=1)
active = keys(status=Status.ACTIVE, expires_at=st.sampled_from([None, NOW + HOUR, NOW + 2 * HOUR]))
POWERS = (ASSIGN_OWNERS, ASSIGN_ENVIRONMENTS, MANAGE_TENANTS)


def of(key: Key, ceiling: tuple[str, ...] = ("*:*",)) -> Authority:
    return Authority.of(Allowed(key, key.versions[0], meet(key.scopes, ceiling)))


def granted(by: Authority, child: Key) -> bool:
    try:
        check_grant(by, child)
    except NotHeld:
        return False
    return True


def passes(key: Key, scopes: tuple[str, ...], access: Access, at: float) -> bool:
    tenant = Tenant(key.tenant, key.tenant, NOW)
    question = Question(key, key.versions[0], access, at, tenant, scopes, ("kr", "ci"))
    return first_refusal(CHECKS, question) is None


@st.composite
def givers_and_children(draw: st.DrawFn) -> tuple[Key, tuple[str, ...], Key]:
    """A holder, the ceiling it was proved under, and a key that is near enough to be granted often."""
    holder = draw(keys(status=Status.ACTIVE, scopes=st.lists(scopes, min_size=1, max_size=4).map(tuple)))
    near = replace(
        holder,
        scopes=draw(st.just(holder.scopes) | st.just(meet(holder.scopes, draw(scope_sets))) | scope_sets),
        networks=draw(st.just(holder.networks) | network_sets),
        limits=draw(st.just(holder.limits) | limit_sets),
        expires_at=draw(st.sampled_from([holder.expires_at, None, NOW + HOUR, NOW + 2 * HOUR])),
        role=None,
    )
    everything = st.just(("*:*",))
    ceiling = draw(everything | everything | everything | scope_sets)
    return holder, ceiling, draw(st.just(near) | st.just(near) | st.just(near) | active)


def accesses_of(key: Key) -> st.SearchStrategy[Access]:
    """What this key is likely to pass: its own scopes with names for the stars, from its own networks."""
    named = [scope.replace("*", "web").replace(":web", ":read") for scope in key.scopes]
    own = [network[0] for network in key.networks]
    return st.builds(
        Access,
        scopes=st.lists(st.sampled_from(named) if named else concrete_scopes, max_size=2).map(tuple),
        tenant=st.sampled_from([None, key.tenant]),
        environments=st.just(("live", "test")),
        prefixes=st.just((key.prefix,)),
        address=st.sampled_from(own) if own else st.none() | addresses,
    )


@settings(max_examples=250)
@given(
    givers_and_children(), st.data(), st.sampled_from([NOW, NOW + HOUR - timedelta(seconds=1), NOW + HOUR])
)
def test_every_access_that_a_granted_key_passes_its_giver_passes_too(
    drawn: tuple[Key, tuple[str, ...], Key], data: st.DataObject, at: datetime
) -> None:
    holder, ceiling, child = drawn
    by = of(holder, ceiling)
    assume(not any(by.holds(power) for power in POWERS))
    near = accesses_of(child)
    access = data.draw(near | near | near | accesses)
    if granted(by, child) and passes(child, child.scopes, access, at.timestamp()):
        event(f"passes with {len(access.scopes)} scopes")
        assert passes(holder, by.scopes, access, at.timestamp())


@given(givers_and_children())
def test_a_granted_key_stays_with_its_giver_in_tenant_owner_and_environment(
    drawn: tuple[Key, tuple[str, ...], Key],
) -> None:
    holder, ceiling, child = drawn
    by = of(holder, ceiling)
    if granted(by, child):
        assert child.owner == holder.owner or by.holds(ASSIGN_OWNERS)
        assert child.tenant == holder.tenant or by.holds(MANAGE_TENANTS)
        here = (holder.prefix, holder.environment)
        assert (child.prefix, child.environment) == here or by.holds(ASSIGN_ENVIRONMENTS)
        assert child.credits == holder.credits or holder.credits is None


@given(limit_sets, limit_sets, st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_whatever_the_limits_of_a_granted_key_let_pass_those_of_its_giver_let_pass(
    held: tuple[Limit, ...], given_away: tuple[Limit, ...], gaps: list[int]
) -> None:
    holder = a_holder(limits=held)
    if not granted(of(holder), replace(holder, limits=given_away)):
        return
    childs, holders, now = MemoryCounters(), MemoryCounters(), 1000.0
    for gap in gaps:
        now += gap
        if childs.take([Spend(limit.name, limit, 1) for limit in given_away], now).ok:
            assert holders.take([Spend(limit.name, limit, 1) for limit in held], now).ok


def a_holder(**changed: object) -> Key:
    key = Key(
        id="H" * 12,
        prefix="kr",
        environment="live",
        tenant="acme",
        name="holder",
        scopes=("keys:manage", "logs:*"),
        created_at=NOW,
        created_by="operator:a",
        versions=(LIVE,),
        ending="wxyz",
        owner="ann",
        networks=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        limits=(Limit("minute", 60, 60),),
        expires_at=NOW + HOUR,
        credits="blue",
    )
    return replace(key, **changed)


WIDER = {
    "scope": ({"scopes": ("logs:read", "jobs:read")}, "jobs:read"),
    "everything": ({"scopes": ("*:*",)}, "*:*"),
    "tenant": ({"tenant": "other"}, MANAGE_TENANTS),
    "owner": ({"owner": "bob"}, ASSIGN_OWNERS),
    "no owner": ({"owner": None}, ASSIGN_OWNERS),
    "environment": ({"environment": "test"}, ASSIGN_ENVIRONMENTS),
    "prefix": ({"prefix": "ci"}, ASSIGN_ENVIRONMENTS),
    "no networks": ({"networks": ()}, "networks"),
    "a wider network": ({"networks": (ip_network("0.0.0.0/0"),)}, "networks"),
    "one more network": ({"networks": (ip_network("10.1.0.0/16"), ip_network("192.0.2.0/24"))}, "networks"),
    "a wider IPv6 network": ({"networks": (ip_network("2001::/16"),)}, "networks"),
    "no expiry": ({"expires_at": None}, "expires_at"),
    "a later expiry": ({"expires_at": NOW + HOUR + timedelta(seconds=1)}, "expires_at"),
    "no limits": ({"limits": ()}, "limits"),
    "a higher limit": ({"limits": (Limit("minute", 61, 60),)}, "limits"),
    "a shorter window": ({"limits": (Limit("minute", 60, 59),)}, "limits"),
    "as much in half a window": ({"limits": (Limit("half", 31, 30),)}, "limits"),
    "no credit group": ({"credits": None}, "credits"),
    "another credit group": ({"credits": "red"}, "credits"),
}


@pytest.mark.parametrize(("changed", "named"), WIDER.values(), ids=WIDER)
def test_what_is_wider_than_its_giver_is_refused_and_named(changed: dict[str, object], named: str) -> None:
    with pytest.raises(NotHeld) as error:
        check_grant(of(a_holder()), a_holder(**changed))
    assert error.value.details == {"not_held": [named]}


NARROWER = [
    {},
    {"scopes": ()},
    {"scopes": ("logs:read",)},
    {"networks": (ip_network("10.9.0.0/16"), ip_network("2001:db8:1::/48"))},
    {"networks": (ip_network("10.0.0.1/32"),)},
    {"expires_at": NOW},
    {"limits": (Limit("any", 30, 30),)},
    {"limits": (Limit("any", 60, 61), Limit("more", 10**9, 1))},
    {"role": "whoever", "name": "another", "metadata": {"a": 1}},
]


@pytest.mark.parametrize("changed", NARROWER)
def test_what_is_as_narrow_as_its_giver_is_granted(changed: dict[str, object]) -> None:
    assert granted(of(a_holder()), a_holder(**changed))


def test_everything_that_is_wider_is_named_at_once() -> None:
    wide = a_holder(scopes=("*:*",), tenant="other", networks=(), limits=(), expires_at=None, credits=None)
    with pytest.raises(NotHeld) as error:
        check_grant(of(a_holder()), wide)
    named = ["*:*", MANAGE_TENANTS, "networks", "expires_at", "limits", "credits"]
    assert error.value.details == {"not_held": named}


@pytest.mark.parametrize(
    ("power", "changed"),
    [
        (ASSIGN_OWNERS, {"owner": "bob"}),
        (ASSIGN_ENVIRONMENTS, {"environment": "test", "prefix": "ci"}),
        (MANAGE_TENANTS, {"tenant": "other"}),
    ],
)
def test_a_power_that_is_held_lets_its_own_thing_pass(power: str, changed: dict[str, object]) -> None:
    holder = a_holder(scopes=("logs:*", power))
    assert granted(of(holder), replace(holder, scopes=("logs:read",), **changed))
    assert not granted(of(holder), replace(holder, scopes=("logs:read",), networks=(), **changed))


@given(givers_and_children())
def test_a_ceiling_on_the_giver_is_a_ceiling_on_what_it_grants(
    drawn: tuple[Key, tuple[str, ...], Key],
) -> None:
    holder, ceiling, child = drawn
    if granted(of(holder, ceiling), child):
        assert granted(of(holder), child)


@given(active)
def test_an_operator_grants_anything(child: Key) -> None:
    by = Authority.operator("ann@laptop")
    assert by.name == "operator:ann@laptop"
    assert granted(by, child)
    assert by.reaches("any tenant")


@given(active, scope_sets)
def test_a_service_grants_within_its_ceiling_in_its_tenant_for_any_owner(
    child: Key, ceiling: tuple[str, ...]
) -> None:
    by = Authority.service("billing", ceiling, tenant="acme")
    within = not authority.algebra.missing(ceiling, child.scopes)
    assert granted(by, child) == (within and child.tenant == "acme")
    assert by.holds(MANAGE_KEYS)
    assert not by.holds("logs:read")
    assert not by.reaches("default")


@pytest.mark.parametrize("name", ["", "a b", "é", "-a", "a" * 101, "a\n", "a/b", "a:b"])
def test_an_authority_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="an authority is named with"):
        Authority.operator(name)
    with pytest.raises(ValueError, match="an authority is named with"):
        Authority.service(name, ())


def test_the_authority_of_a_key_is_the_key_and_where_it_was_used() -> None:
    key = a_holder()
    by = Authority.of(Allowed(key, LIVE, ("logs:read",)), address="192.0.2.7", request_id="r-1")
    assert by.name == f"key:{key.id}"
    assert (by.scopes, by.grants) == (("logs:read",), ("logs:read",))
    assert (by.key, by.secret, by.tenant) == (key, LIVE, "acme")
    assert (by.address, by.request_id) == ("192.0.2.7", "r-1")


def test_requiring_what_is_not_held_names_it() -> None:
    by = of(a_holder())
    by.require("logs:read")
    with pytest.raises(NotHeld) as error:
        by.require("tenants:manage")
    assert error.value.details == {"not_held": ["tenants:manage"]}


DATED = Secret(1, VersionState.LIVE, NOW - HOUR, "p1", bytes(32), NOW + HOUR)


@pytest.mark.parametrize(
    ("proved", "now", "refused"),
    [
        (LIVE, LIVE, False),
        (DATED, DATED, True),
        (LIVE, DATED, True),
        (DATED, LIVE, False),
    ],
    ids=["undated", "dated", "dated since", "undated since"],
)
def test_a_dated_secret_changes_nothing_of_its_own_key(proved: Secret, now: Secret, refused: bool) -> None:
    """It is the key as it is now that counts: a rotation may have come in between, or been undone."""
    by = Authority.of(Allowed(a_holder(versions=(proved,)), proved, ("keys:manage",)))
    own = a_holder(versions=(now, replace(LIVE, number=2)))
    other = replace(own, id="O" * 12)
    check_own(by, other)
    check_own(Authority.operator("a"), own)
    check_own(replace(by, secret=None), own)
    if not refused:
        check_own(by, own)
        return
    with pytest.raises(SecretDated):
        check_own(by, own)


@pytest.mark.parametrize(
    ("held", "rotates_own", "reads_own", "reads_other"),
    [
        ((), MANAGE_KEYS, READ_KEYS, READ_KEYS),
        ((ROTATE_SELF,), ROTATE_SELF, ROTATE_SELF, READ_KEYS),
        ((READ_KEYS,), MANAGE_KEYS, READ_KEYS, READ_KEYS),
        ((READ_KEYS, ROTATE_SELF), ROTATE_SELF, READ_KEYS, READ_KEYS),
        ((MANAGE_KEYS,), MANAGE_KEYS, MANAGE_KEYS, MANAGE_KEYS),
        ((MANAGE_KEYS, ROTATE_SELF), MANAGE_KEYS, MANAGE_KEYS, MANAGE_KEYS),
    ],
)
def test_the_narrowest_scope_is_asked_for_that_a_giver_holds(
    held: tuple[str, ...], rotates_own: str, reads_own: str, reads_other: str
) -> None:
    by, own, other = of(a_holder(scopes=held)), a_holder().id, "O" * 12
    assert needed_to_rotate(by, own) == rotates_own
    assert needed_to_rotate(by, own, exceptional=True) == MANAGE_KEYS
    assert needed_to_rotate(by, other) == MANAGE_KEYS
    assert needed_to_rotate(Authority.operator("a"), own) == MANAGE_KEYS
    assert needed_to_read(by, own) == reads_own
    assert needed_to_read(by, other) == reads_other
    assert needed_to_read(by, None) == reads_other


DEFAULTS = (Limit("requests", 60, 60),)


@pytest.mark.parametrize(
    ("held", "given_away", "right"),
    [
        ((), (), True),
        ((), (Limit("requests", 60, 60),), True),
        ((), (Limit("requests", 61, 60),), False),
        ((), (Limit("other", 10**9, 1),), True),
        ((Limit("requests", 90, 60),), (), True),
        ((Limit("requests", 90, 60),), (Limit("requests", 90, 60),), True),
        ((Limit("requests", 90, 60),), (Limit("requests", 91, 60),), False),
        ((Limit("requests", 30, 60),), (), False),
    ],
)
def test_a_default_limit_is_held_and_not_given_away_wider(
    held: tuple[Limit, ...], given_away: tuple[Limit, ...], right: bool
) -> None:
    """Naming a limit like the default takes its place, so the name alone would lift it."""
    holder = a_holder(limits=held)
    child = replace(holder, limits=given_away)
    if right:
        check_grant(of(holder), child, defaults=DEFAULTS)
        return
    with pytest.raises(NotHeld) as error:
        check_grant(of(holder), child, defaults=DEFAULTS)
    assert error.value.details == {"not_held": ["limits"]}


def test_who_may_assign_limits_is_held_by_its_own_ones_alone() -> None:
    holder = a_holder(limits=(), scopes=("logs:*", ASSIGN_LIMITS))
    child = replace(holder, limits=(Limit("requests", 10**9, 1),))
    check_grant(of(holder), child, defaults=DEFAULTS)
    with pytest.raises(NotHeld):
        check_grant(of(replace(holder, limits=DEFAULTS)), child, defaults=DEFAULTS)
