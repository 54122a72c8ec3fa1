"""Sessions on a whole engine: never wider than their key, never longer, decided with it, and no change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from engine_bed import FOREIGN, OPERATOR, Bed, opened, operations, refusal
from hypothesis import given
from hypothesis import strategies as st
from session_bed import HERE, ONE, READS, THERE, Desk, desk_on

from keyrack import Access, Allowed, Limit, Policy, Verifier, Wish
from keyrack.core import scopes as algebra
from keyrack.core import session as format_
from keyrack.core.errors import NotHeld, SessionPresented, ValidationFailed
from keyrack.core.model import Denied, Key
from keyrack.sessions.exchange import Sessions


@pytest.fixture
def desk(memory: Bed) -> Desk:
    return desk_on(memory)


def test_a_session_does_what_was_asked_for_and_no_more(bed: Bed) -> None:
    desk = desk_on(bed)
    _, text = bed.mint("logs:read", "streams/*:ingest")
    token = desk.exchange(text, scopes=["streams/web:ingest"])
    assert bed.verdict(token, "streams/web:ingest") == "ok"
    for scope in ("streams/app:ingest", "logs:read"):
        assert (bed.verdict(text, scope), bed.verdict(token, scope)) == ("ok", "scope")
    everything = desk.exchange(text)
    assert bed.verdict(everything, "streams/app:ingest", "logs:read") == "ok"


def test_a_session_for_more_than_the_key_holds_is_refused(desk: Desk) -> None:
    _, text = desk.bed.mint("logs:read", "streams/*:ingest")
    for scopes in (["logs:write"], ["*:*"], ["logs:*"], ["logs:read", "streams/*:*"]):
        with pytest.raises(NotHeld) as caught:
            desk.exchange(text, scopes=scopes)
        assert set(caught.value.details["not_held"]) <= set(scopes)


SCOPE = st.builds(
    "{}:{}".format,
    st.one_of(st.just("*"), st.lists(st.sampled_from("ab*"), min_size=1, max_size=2).map("/".join)),
    st.sampled_from(["x", "y", "*"]),
)
SCOPES = st.lists(SCOPE, max_size=3, unique=True)


@given(held=SCOPES, wished=SCOPES, later=SCOPES, wanted=SCOPES)
def test_a_session_never_widens_whatever_becomes_of_its_key(
    held: list[str], wished: list[str], later: list[str], wanted: list[str]
) -> None:
    with opened() as bed:
        desk = desk_on(bed)
        minted, text = bed.mint(*held)
        within = algebra.within(wished, held)
        assert (refusal(desk.exchange, text, scopes=wished) is None) == within
        if not within:
            return
        token = desk.exchange(text, scopes=wished)
        bed.issuer.update(minted.key.id, {"scopes": later}, by=OPERATOR)
        decision = bed.verifier.verify(token, Access(tuple(wanted)))
        allowed = algebra.within(wanted, wished) and algebra.within(wanted, later)
        assert isinstance(decision, Allowed) == allowed
        if isinstance(decision, Allowed):
            assert algebra.within(decision.scopes, wished)
            assert algebra.within(decision.scopes, later)


def test_a_role_and_the_ceiling_of_a_guard_hold_for_sessions_too() -> None:
    with opened(policy=Policy(roles={"reader": ("*:read",)})) as bed:
        desk = desk_on(bed)
        _, text = bed.mint("logs:read", "logs:write", role="reader")
        token = desk.exchange(text)
        assert bed.verdict(token, "logs:read") == "ok"
        assert bed.verdict(token, "logs:write") == "scope"
        decision = bed.verifier.verify(token, READS, ceiling=lambda key: ())
        assert isinstance(decision, Denied)
        assert decision.reason == "scope"


def test_it_ends_at_its_time(desk: Desk) -> None:
    _, _, token = desk.holder("logs:read")
    desk.bed.passes(899)
    assert desk.bed.verdict(token, "logs:read") == "ok"
    desk.bed.passes(1)
    decision = desk.bed.verifier.verify(token, READS)
    assert isinstance(decision, Denied)
    assert (decision.reason, dict(decision.details)) == ("expired", {"session": "expired"})
    assert desk.bed.verdict(token, "logs:write") == "expired"


@pytest.mark.parametrize("seconds", [0, -1, 901, 10**9])
def test_its_length_is_one_second_to_fifteen_minutes(desk: Desk, seconds: int) -> None:
    _, text = desk.bed.mint("logs:read")
    with pytest.raises(ValidationFailed):
        desk.exchange(text, ttl_seconds=seconds)


def test_it_never_outlives_its_key(desk: Desk) -> None:
    bed = desk.bed
    _, text = bed.mint("logs:read", expires_at=bed.at + timedelta(seconds=100))
    assert desk.whole(text).expires_at == bed.at + timedelta(seconds=100)
    assert desk.whole(text, ttl_seconds=99).expires_at == bed.at + timedelta(seconds=99)


def test_it_never_outlives_the_secret_that_was_presented(desk: Desk) -> None:
    bed = desk.bed
    minted, text = bed.mint("logs:read")
    new = str(bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1)).secret)
    bed.passes(3_500)
    old, newer = desk.whole(text), desk.whole(new)
    assert old.expires_at == bed.at + timedelta(seconds=100)
    assert newer.expires_at == bed.at + timedelta(seconds=900)
    bed.passes(100)
    assert (bed.verdict(old.token, "logs:read"), bed.verdict(newer.token, "logs:read")) == ("expired", "ok")


def test_it_is_meant_for_one_service_if_that_was_asked_for(desk: Desk) -> None:
    bed = desk.bed
    _, text = bed.mint("logs:read")
    token = desk.exchange(text, audience="query")
    assert bed.verdict(token, "logs:read", service="query") == "ok"
    assert bed.verdict(token, "logs:read", service="ingest") == "unknown"
    assert bed.verdict(token, "logs:read") == "unknown"
    anywhere = desk.exchange(text, audience="keyrack")
    assert bed.verdict(anywhere, "logs:read", service="ingest") == "ok"


Change = Callable[[Bed, Key], object]


def in_days(bed: Bed, days: int) -> dict[str, Any]:
    return {"expires_at": bed.at + timedelta(days=days)}


CHANGES: dict[str, tuple[Change, str]] = {
    "revoked": (lambda bed, key: bed.issuer.revoke(key.id, by=OPERATOR), "revoked"),
    "disabled": (lambda bed, key: bed.issuer.disable(key.id, by=OPERATOR), "disabled"),
    "narrowed": (lambda bed, key: bed.issuer.update(key.id, {"scopes": []}, by=OPERATOR), "scope"),
    "bound to networks": (
        lambda bed, key: bed.issuer.update(key.id, {"networks": ["192.0.2.0/24"]}, by=OPERATOR),
        "network",
    ),
    "tenant suspended": (
        lambda bed, key: bed.tenants.suspend(key.tenant, "workspace", by=OPERATOR),
        "suspended",
    ),
    "compromised": (
        lambda bed, key: bed.issuer.rotate(key.id, by=OPERATOR, compromised=True, grace=timedelta(0)),
        "retired",
    ),
    "rotated and promoted": (
        lambda bed, key: (bed.issuer.rotate(key.id, by=OPERATOR), bed.issuer.promote(key.id, by=OPERATOR)),
        "retired",
    ),
    "rotated": (lambda bed, key: bed.issuer.rotate(key.id, by=OPERATOR), "ok"),
    "rotated and aborted": (
        lambda bed, key: (bed.issuer.rotate(key.id, by=OPERATOR), bed.issuer.abort(key.id, by=OPERATOR)),
        "ok",
    ),
    "renamed": (lambda bed, key: bed.issuer.update(key.id, {"name": "x"}, by=OPERATOR), "ok"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seen", [True, False], ids=["met before", "new"])
def test_every_decision_is_about_the_key_as_it_is_now(bed: Bed, name: str, seen: bool) -> None:
    change, expected = CHANGES[name]
    key, text, token = desk_on(bed).holder("logs:read")
    if seen:
        assert bed.verdict(token, "logs:read") == "ok"
    change(bed, key)
    found = bed.verdict(token, "logs:read")
    assert (found, bed.verdict(text, "logs:read")) == (expected, found)


def test_a_session_of_the_new_secret_ends_when_that_is_aborted_and_lives_after_undo(desk: Desk) -> None:
    bed = desk.bed
    minted, text = bed.mint("logs:read")
    new = str(bed.issuer.rotate(minted.key.id, by=OPERATOR).secret)
    of_new, of_old = desk.exchange(new), desk.exchange(text)
    bed.issuer.promote(minted.key.id, by=OPERATOR)
    assert (bed.verdict(of_new, "logs:read"), bed.verdict(of_old, "logs:read")) == ("ok", "retired")
    bed.issuer.undo(minted.key.id, by=OPERATOR)
    assert (bed.verdict(of_new, "logs:read"), bed.verdict(of_old, "logs:read")) == ("ok", "ok")
    bed.issuer.abort(minted.key.id, by=OPERATOR)
    assert bed.verdict(of_new, "logs:read") in ("retired", "unknown")


def test_a_key_that_is_enabled_again_has_its_sessions_again(desk: Desk) -> None:
    key, _, token = desk.holder("logs:read")
    desk.bed.issuer.disable(key.id, by=OPERATOR)
    assert desk.bed.verdict(token, "logs:read") == "disabled"
    desk.bed.issuer.enable(key.id, by=OPERATOR)
    assert desk.bed.verdict(token, "logs:read") == "ok"


def test_network_tenant_and_environment_are_asked_of_a_session_as_of_its_key(desk: Desk) -> None:
    _, text, token = desk.holder("logs:read", networks=["192.0.2.0/24"])
    for one in (text, token):
        assert desk.bed.verdict(one, "logs:read", address=HERE) == "ok"
        assert desk.bed.verdict(one, "logs:read", address=THERE) == "network"
        assert desk.bed.verdict(one, "logs:read", address=HERE, tenant="other") == "tenant"
        assert desk.bed.verdict(one, "logs:read", address=HERE, environments=("test",)) == "unknown"


def test_key_and_sessions_spend_from_one_account(desk: Desk) -> None:
    _, text, token = desk.holder("logs:read", limits=[Limit("minute", 5, 60)])
    second = desk.exchange(text)
    left = desk.bed.verifier.verify(text, READS)
    assert isinstance(left, Allowed)
    spent = 5 - left.rates[0].remaining
    verdicts = [desk.bed.verdict(one, "logs:read") for one in [token, second, text, token, second]]
    assert verdicts.count("ok") == 5 - spent
    assert verdicts[5 - spent :] == ["rate"] * spent


def test_a_later_half_is_as_narrow_as_the_first(desk: Desk) -> None:
    """A handler that names its scopes itself gets the session, not the key behind it."""
    key, text, _ = desk.holder("logs:read", "logs:write")
    token = desk.exchange(text, scopes=["logs:read"], audience="query")
    verifier = desk.bed.verifier
    identified = verifier.identify(token, Access(service="query"))
    assert isinstance(identified, Allowed)
    assert isinstance(verifier.allow(identified, Access(("logs:read",), service="query")), Allowed)
    refused = verifier.allow(identified, Access(("logs:write",), service="query"))
    assert isinstance(refused, Denied)
    assert refused.reason == "scope"
    elsewhere = verifier.recheck(identified, Access(("logs:read",)))
    assert isinstance(elsewhere, Denied)
    desk.bed.passes(900)
    ended = verifier.recheck(identified, Access(("logs:read",), service="query"))
    assert isinstance(ended, Denied)
    assert ended.reason == "expired"
    assert key.id == identified.key.id


def test_a_session_changes_nothing(desk: Desk) -> None:
    bed = desk.bed
    key, _, token = desk.holder("*:*")
    by = bed.authority(token)
    other_key, _ = bed.mint("logs:read")
    before = bed.stores.keys.last()
    works: list[Callable[[], object]] = [
        *operations(bed.issuer, other_key.key.id, by),
        *operations(bed.issuer, key.id, by),
        lambda: bed.issuer.mint(Wish("x", scopes=["logs:read"]), by=by),
        lambda: bed.issuer.revoke(other_key.key.id, by=by),
        lambda: bed.issuer.give_up(by=by),
        lambda: bed.tenants.create("acme", by=by),
        lambda: bed.tenants.suspend("default", "query", by=by),
        lambda: bed.tenants.resume("default", "query", by=by),
        lambda: bed.tenants.update("default", {"name": "x"}, by=by),
        lambda: desk.signing().rotate(by=by),
    ]
    assert {refusal(work) for work in works} == {"session_presented"}
    assert bed.stores.keys.last() == before
    assert bed.issuer.get(key.id, by=by).id == key.id


def test_a_session_is_not_exchanged_again(desk: Desk) -> None:
    _, _, token = desk.holder("logs:read")
    with pytest.raises(SessionPresented):
        desk.exchange(token)


def test_an_exchange_changes_no_key_and_its_use_is_noted_by_version(bed: Bed) -> None:
    desk = desk_on(bed)
    key, text, token = desk.holder("logs:read")
    before = bed.stores.keys.last()
    desk.exchange(text)
    assert bed.verdict(token, "logs:read") == "ok"
    assert bed.stores.keys.last() == before
    bed.verifier.notebook.flush(bed.stores.journal)
    uses = bed.stores.journal.uses([key.id])
    assert uses[key.id, 1].uses == 3


def test_a_session_is_never_digested_as_a_secret_of_its_key(desk: Desk) -> None:
    """A version under an old pepper is digested anew by the text that proves it: never by a token."""
    key, _, token = desk.holder("logs:read")
    prepared = desk.bed.verifier.follower.replica.find(key.id)
    assert prepared is not None
    claimed = format_.read(token)
    assert claimed is not None
    aged = replace(prepared.versions[0], aged=True, free=False)
    narrowed = format_.narrowed(aged, claimed.session)
    assert (narrowed.aged, narrowed.free) == (False, True)


def test_scopes_that_do_not_fit_into_a_token_are_refused_by_name(desk: Desk) -> None:
    scopes = [f"{'a' * 60}/{'b' * 60}/n{number}:read" for number in range(40)]
    _, text = desk.bed.mint(*scopes)
    with pytest.raises(ValidationFailed) as caught:
        desk.exchange(text)
    assert list(caught.value.details["fields"]) == ["scopes"]
    assert desk.bed.verdict(desk.exchange(text, scopes=scopes[:15]), scopes[0]) == "ok"


def test_keys_in_the_environment_have_no_sessions(static: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", FOREIGN)
    with Verifier.open("env:ONE_KEY", peppers=static.stores.peppers) as verifier:
        allowed = verifier.verify(FOREIGN, Access())
        assert isinstance(allowed, Allowed)
        assert refusal(Sessions(verifier, ONE).exchange, allowed) == "unsupported_store"


def test_a_node_that_does_not_hold_the_key_reads_it_first(bed: Bed) -> None:
    desk = desk_on(bed)
    key, _, token = desk.holder("logs:read")
    others = [bed.mint("a:b")[1] for _ in range(4)]
    node = Verifier(bed.stores, replica_max_keys=1)
    node.follower.load()
    assert isinstance(node.verify(token, READS), Allowed)
    for text in others:
        assert isinstance(node.verify(text, Access()), Allowed)
    assert isinstance(node.verify(token, READS), Allowed)
    bed.issuer.revoke(key.id, by=OPERATOR)
    node.follower.poll()
    assert isinstance(node.verify(token, READS), Denied)
