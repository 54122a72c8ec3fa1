"""A key made ready: exactly its own texts prove it, each as its own version, under the pepper it names."""

from __future__ import annotations

from dataclasses import replace

from drawing import LIVE, NOW, keys, limit_sets, scope_sets, tenants
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.checks import rules_for
from keyrack.core.model import Key, Limit, Secret, Tenant, VersionState
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.core.prepared import below, matching, nobody, prepare, prove
from keyrack.core.scopes import meet

PEPPERS = Peppers.parse("p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U,p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA")
POLICY = Policy()
TENANT = Tenant("acme", "Acme", NOW)
texts = st.binary(min_size=1, max_size=20)


def version(number: int, text: bytes, pepper: str, *, foreign: bool = False) -> Secret:
    mac = PEPPERS[pepper].index if foreign else PEPPERS[pepper].digest
    return Secret(number, VersionState.LIVE, NOW, pepper, mac.digest(text), None, foreign)


@st.composite
def keys_and_texts(draw: st.DrawFn) -> tuple[Key, dict[int, tuple[bytes, bool]]]:
    """A key of up to four versions under any peppers, and the text of each and whether it is foreign."""
    unlike = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    known = {number: (text, draw(st.booleans())) for number, text in enumerate(unlike, start=1)}
    versions = [
        version(number, text, draw(st.sampled_from(["p1", "p2"])), foreign=foreign)
        for number, (text, foreign) in known.items()
    ]
    return draw(keys(versions=tuple(versions), role=None)), known


@given(keys_and_texts(), texts)
def test_a_text_proves_the_version_that_it_is_and_no_other_text_proves_any(
    drawn: tuple[Key, dict[int, tuple[bytes, bool]]], stranger: bytes
) -> None:
    key, known = drawn
    prepared = prepare(key, TENANT, PEPPERS, POLICY)
    for number, (text, foreign) in known.items():
        proved = prove(prepared, text)
        assert (proved.answer.secret.number if proved else None) == (None if foreign else number)
    if stranger not in [text for text, _ in known.values()]:
        assert prove(prepared, stranger) is None


@given(keys_and_texts())
def test_a_foreign_text_is_matched_by_the_digest_that_it_is_found_by(
    drawn: tuple[Key, dict[int, tuple[bytes, bool]]],
) -> None:
    key, known = drawn
    prepared = prepare(key, TENANT, PEPPERS, POLICY)
    for number, (_, foreign) in known.items():
        proved = matching(prepared.foreign, key.versions[number - 1].digest)
        assert (proved.answer.secret.number if proved else None) == (number if foreign else None)


@given(keys(), st.dictionaries(st.sampled_from(["reader", "writer"]), scope_sets))
def test_a_role_is_a_ceiling_and_one_that_is_not_known_leaves_nothing(
    key: Key, roles: dict[str, tuple[str, ...]]
) -> None:
    (proved,) = prepare(key, TENANT, PEPPERS, Policy(roles=roles)).versions
    answer = proved.answer
    assert (answer.key, answer.secret, answer.rates) == (key, key.versions[0], ())
    assert answer.scopes == (meet(key.scopes, roles.get(key.role, ())) if key.role else key.scopes)
    assert proved.scopes == frozenset(answer.scopes)


@given(keys(), st.none() | tenants())
def test_a_version_brings_the_rules_that_can_refuse_it(key: Key, tenant: Tenant | None) -> None:
    (proved,) = prepare(key, tenant, PEPPERS, POLICY).versions
    assert (proved.key, proved.tenant, proved.prefixes) == (key, tenant, POLICY.prefixes)
    assert proved.rules == rules_for(key, key.versions[0], tenant)


@given(keys(), scope_sets)
def test_a_ceiling_bounds_the_answer_and_what_is_looked_up_in_it(key: Key, ceiling: tuple[str, ...]) -> None:
    (proved,) = prepare(key, TENANT, PEPPERS, POLICY).versions
    bounded = below(proved, ceiling)
    assert bounded.answer == proved.answer._replace(scopes=meet(proved.answer.scopes, ceiling))
    assert bounded.scopes == frozenset(bounded.answer.scopes)
    assert replace(bounded, answer=proved.answer, scopes=proved.scopes) == proved


def test_a_key_is_charged_to_its_own_limits_the_policys_and_its_tenants() -> None:
    minute, hour, day = (Limit(name, 5, 60) for name in ("minute", "hour", "day"))
    key = replace(KEY, limits=(minute,))
    policy = Policy(limits=(Limit("minute", 99, 60), hour))
    (proved,) = prepare(key, replace(TENANT, limits=(day,)), PEPPERS, policy).versions
    assert proved.charges == (
        (f"key/{key.id}/minute", minute),
        (f"key/{key.id}/hour", hour),
        ("tenant/acme/day", day),
    )


@given(limit_sets, st.sampled_from(["p1", "p2"]))
def test_an_answer_is_free_when_no_limit_is_charged_and_no_digest_renewed(
    limits: tuple[Limit, ...], pepper: str
) -> None:
    key = replace(KEY, limits=limits, versions=(version(1, b"text", pepper),))
    (proved,) = prepare(key, None, PEPPERS, POLICY).versions
    assert proved.aged == (pepper != "p2")
    assert proved.free == (not limits and not proved.aged)


def test_a_version_under_a_pepper_that_was_not_given_proves_nothing_and_costs_a_digest_all_the_same() -> None:
    key = replace(KEY, versions=(replace(LIVE, pepper="p9"),))
    prepared = prepare(key, TENANT, PEPPERS, POLICY)
    assert prove(prepared, b"any text") is None
    stranger = nobody(PEPPERS)
    assert (prepared.mac, prepared.known, prepared.older) == (stranger.mac, stranger.known, ())


def test_nobody_is_proved_by_no_text() -> None:
    stranger = nobody(PEPPERS)
    assert prove(stranger, b"any text") is None
    assert matching(stranger.foreign, bytes(32)) is None
    assert stranger.versions == ()


KEY = Key(
    id="K" * 12,
    prefix="kr",
    environment="live",
    tenant="acme",
    name="n",
    scopes=(),
    created_at=NOW,
    created_by="operator:a",
    versions=(LIVE,),
    ending="wxyz",
)
