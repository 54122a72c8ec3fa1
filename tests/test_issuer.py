"""Mint, change, list and revoke, case by case; the life of keys as a whole is in test_key_lives.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from engine_bed import OPERATOR, STORES, Bed, details, kinds, opened, operations, refusal

from keyrack import Policy, Verifier, Wish
from keyrack.core.errors import (
    NotFound,
    NotHeld,
    PreconditionFailed,
    ValidationFailed,
)
from keyrack.core.events import EventKind
from keyrack.core.model import Key, Limit, Status
from keyrack.drawing import new_id
from keyrack.stores.protocols import Listing
from keyrack.testing import PEPPERS, FixedClock

POLICY = Policy(
    prefixes=("kr", "ci"),
    presets={"ingest": ("streams/*:ingest",)},
    roles={"reader": ("*:read", "keys:manage")},
)


@pytest.fixture(params=STORES)
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    with opened(request.param, policy=POLICY) as one:
        yield one


@pytest.fixture
def memory() -> Iterator[Bed]:
    with opened(policy=POLICY) as one:
        yield one


def test_a_minted_key_is_what_was_wished_for(bed: Bed) -> None:
    bed.tenants.create("acme", by=OPERATOR)
    expires_at = bed.at + timedelta(days=1)
    minted, text = bed.mint(
        "logs:read",
        "logs:read",
        name="é漢",
        tenant="acme",
        owner="ann",
        prefix="ci",
        environment="test",
        role="reader",
        expires_at=expires_at,
        networks=["10.0.0.0/8"],
        limits=[{"name": "m", "limit": 5, "window_seconds": 60}],
        metadata={"a": [1]},
    )
    key = minted.key
    assert (key.name, key.tenant, key.owner, key.role) == ("é漢", "acme", "ann", "reader")
    assert (key.prefix, key.environment, key.scopes) == ("ci", "test", ("logs:read",))
    assert (key.expires_at, key.limits, key.metadata) == (expires_at, (Limit("m", 5, 60),), {"a": [1]})
    assert text.startswith(f"ci_test_{key.id}")
    assert key.hint == f"ci_test_{key.id[:4]}…{text[-4:]}"
    assert (key.created_by, key.created_at, key.updated_at) == ("operator:tests", bed.at, None)
    assert bed.issuer.get(key.id, by=OPERATOR) == key
    assert kinds(bed, key) == [EventKind.KEY_MINTED]


def test_a_wish_without_more_than_a_name_has_the_defaults_and_holds_nothing(memory: Bed) -> None:
    key = memory.issuer.mint(Wish("n"), by=OPERATOR).key
    assert (key.prefix, key.environment, key.tenant, key.owner) == ("kr", "live", "default", None)
    assert (key.scopes, key.expires_at, key.networks, key.limits) == ((), None, (), ())


@pytest.mark.spec("CO-16")
def test_a_preset_is_expanded_into_the_record(memory: Bed) -> None:
    minted, text = memory.mint(scopes=None, preset="ingest")
    assert (minted.key.preset, minted.key.scopes) == ("ingest", ("streams/*:ingest",))
    assert memory.verdict(text, "streams/web:ingest") == "ok"
    assert memory.verdict(text, "streams:ingest") == "scope"


def test_a_key_made_by_a_key_is_by_default_where_its_maker_is(memory: Bed) -> None:
    _, text = memory.mint("keys:manage", "logs:*", owner="ann", prefix="ci", environment="test")
    child = memory.issuer.mint(Wish("child", scopes=["logs:read"]), by=memory.authority(text)).key
    assert (child.owner, child.prefix, child.environment) == ("ann", "ci", "test")
    assert child.created_by.startswith("key:")


BAD_WISHES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no name": ({"name": ""}, ["name"]),
    "a name of control characters": ({"name": "a\nb"}, ["name"]),
    "scopes out of grammar": ({"scopes": ["logs"]}, ["scopes"]),
    "scopes and preset": ({"scopes": ["a:b"], "preset": "ingest"}, ["scopes"]),
    "unknown preset": ({"scopes": None, "preset": "x"}, ["preset"]),
    "preset of another type": ({"scopes": None, "preset": ["ingest"]}, ["preset"]),
    "unknown role": ({"role": "x"}, ["role"]),
    "role of another type": ({"role": {"reader": 1}}, ["role"]),
    "unknown prefix": ({"prefix": "zz"}, ["prefix"]),
    "empty prefix": ({"prefix": ""}, ["prefix"]),
    "unknown environment": ({"environment": "prod"}, ["environment"]),
    "empty environment": ({"environment": ""}, ["environment"]),
    "a tenant that is no name": ({"tenant": "\ud800"}, ["tenant"]),
    "a tenant of another type": ({"tenant": ["default"]}, ["tenant"]),
    "an empty owner": ({"owner": ""}, ["owner"]),
    "an owner of half a character": ({"owner": "\ud800"}, ["owner"]),
    "expired already": ({"expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
    "expiry without offset": ({"expires_at": "2040-01-01T00:00:00"}, ["expires_at"]),
    "a network with host bits": ({"networks": ["10.0.0.1/8"]}, ["networks.0"]),
    "a limit of nothing": ({"limits": [{"name": "m", "limit": 0, "window_seconds": 1}]}, ["limits.0.limit"]),
    "a credit group": ({"credits": "blue"}, ["credits"]),
    "metadata that is no object": ({"metadata": []}, ["metadata"]),
    "metadata over 4 KB": ({"metadata": {"a": "x" * 4096}}, ["metadata"]),
    "unknown uniqueness": ({"unique": "world"}, ["unique"]),
    "several at once": ({"name": "", "role": "x", "owner": ""}, ["name", "owner", "role"]),
}


@pytest.mark.parametrize(("wish", "fields"), BAD_WISHES.values(), ids=BAD_WISHES)
def test_a_bad_wish_names_every_bad_field_and_makes_nothing(
    memory: Bed, wish: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(ValidationFailed) as error:
        memory.mint("a:b", **wish)
    assert details(error.value.details) == fields
    assert memory.issuer.find(Listing(), by=OPERATOR) == ([], None)


def test_a_tenant_that_does_not_exist_or_was_deleted_gets_no_key(bed: Bed) -> None:
    bed.tenants.create("gone", by=OPERATOR)
    bed.tenants.delete("gone", by=OPERATOR)
    for tenant in ("gone", "never"):
        with pytest.raises(NotFound):
            bed.mint("a:b", tenant=tenant)


def test_a_name_is_unique_only_where_that_is_asked_for_and_only_among_live_keys(bed: Bed) -> None:
    first, _ = bed.mint(name="x", owner="ann")
    bed.mint(name="x", owner="ann")
    assert refusal(bed.mint, name="x", owner="bob", unique="tenant") == "name_taken"
    assert refusal(bed.mint, name="x", owner="ann", unique="owner") == "name_taken"
    assert refusal(bed.mint, name="x", owner="bob", unique="owner") is None
    bed.tenants.create("acme", by=OPERATOR)
    assert refusal(bed.mint, name="x", tenant="acme", unique="tenant") is None
    minted, _ = bed.mint(name="y", unique="tenant", expires_at=bed.at + timedelta(hours=1))
    bed.issuer.disable(minted.key.id, by=OPERATOR)
    assert refusal(bed.mint, name="y", unique="tenant") == "name_taken"
    bed.passes(hours=1)
    assert refusal(bed.mint, name="y", unique="tenant") is None
    bed.issuer.update(first.key.id, {"name": "z"}, by=OPERATOR)
    assert refusal(bed.mint, name="z", unique="tenant") == "name_taken"
    bed.issuer.revoke(first.key.id, by=OPERATOR)
    assert refusal(bed.mint, name="z", unique="tenant") is None


def test_a_change_of_name_is_held_to_uniqueness_where_that_is_asked_for(bed: Bed) -> None:
    first, second = (bed.mint("a:b", name=name)[0].key for name in ("x", "y"))
    update = partial(bed.issuer.update, second.id, by=OPERATOR, unique="tenant")
    assert refusal(update, {"name": "x"}) == "name_taken"
    assert refusal(update, {"name": "y", "scopes": ["a:c"]}) is None  # its own name
    assert refusal(bed.issuer.update, second.id, {"name": "x"}, by=OPERATOR) is None
    assert refusal(update, {"scopes": ["a:d"]}) == "name_taken"
    bed.issuer.revoke(first.id, by=OPERATOR)
    assert refusal(update, {"scopes": ["a:d"]}) is None


def test_an_expired_key_comes_back_only_while_nobody_has_its_name(bed: Bed) -> None:
    old = bed.mint("a:b", name="x", expires_at=bed.at + timedelta(hours=1))[0].key
    bed.passes(hours=2)
    bed.mint("a:b", name="x", unique="tenant")
    later = {"expires_at": bed.at + timedelta(hours=1)}
    assert refusal(bed.issuer.update, old.id, later, by=OPERATOR, unique="tenant") == "name_taken"


CHANGES: dict[str, Any] = {
    "name": "renamed",
    "owner": "bob",
    "scopes": ("a:b", "c:d"),
    "role": "reader",
    "networks": [],
    "limits": [{"name": "m", "limit": 5, "window_seconds": 60}],
    "metadata": {"b": None},
    "credits": None,
    "expires_at": None,
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_is_changed_by_itself(memory: Bed, field: str) -> None:
    minted, _ = memory.mint(
        "a:b", metadata={"a": 1}, networks=["10.0.0.0/8"], expires_at="2040-01-01T00:00:00Z"
    )
    memory.passes(5)
    changed = memory.issuer.update(minted.key.id, {field: CHANGES[field]}, by=OPERATOR)
    differs = [name for name in Key.__slots__ if getattr(changed, name) != getattr(minted.key, name)]
    expected = set() if field == "credits" else {field, "revision", "updated_at"}
    assert set(differs) == expected
    assert memory.issuer.get(changed.id, by=OPERATOR) == changed


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"status": "revoked"}, ["status"]),
        ({"tenant": "acme", "id": "x"}, ["id", "tenant"]),
        ({"name": "", "scopes": "a:b"}, ["name", "scopes"]),
        ({"role": ["reader"]}, ["role"]),
        ({"owner": ""}, ["owner"]),
        ({"expires_at": "2001-01-01T00:00:00Z"}, ["expires_at"]),
        ({"metadata": {"a": "x" * 4096}}, ["metadata"]),
        ({"metadata": {"a": float("nan")}}, ["metadata"]),
        ({"credits": "blue"}, ["credits"]),
    ],
)
def test_a_bad_change_names_every_bad_field_and_changes_nothing(
    memory: Bed, changes: dict[str, Any], fields: list[str]
) -> None:
    minted, _ = memory.mint("a:b")
    with pytest.raises(ValidationFailed) as error:
        memory.issuer.update(minted.key.id, changes, by=OPERATOR)
    assert details(error.value.details) == fields
    assert memory.issuer.get(minted.key.id, by=OPERATOR) == minted.key


def test_what_is_minted_shares_nothing_with_what_was_given(memory: Bed) -> None:
    inner = [1]
    minted, _ = memory.mint("a:b", metadata={"a": inner})
    inner.append(2)
    assert minted.key.metadata == {"a": [1]} == memory.issuer.get(minted.key.id, by=OPERATOR).metadata


def test_a_change_that_changes_nothing_writes_nothing(bed: Bed) -> None:
    minted, _ = bed.mint("a:b")
    bed.passes(5)
    assert bed.issuer.update(minted.key.id, {"scopes": ["a:b"], "name": "n"}, by=OPERATOR) == minted.key
    assert bed.issuer.enable(minted.key.id, by=OPERATOR) == minted.key
    disabled = bed.issuer.disable(minted.key.id, by=OPERATOR)
    assert bed.issuer.disable(minted.key.id, by=OPERATOR) == disabled
    revoked = bed.issuer.revoke(minted.key.id, by=OPERATOR, reason="lost")
    assert bed.issuer.revoke(minted.key.id, by=OPERATOR, reason="again") == revoked
    assert kinds(bed, minted.key) == [EventKind.KEY_MINTED, EventKind.KEY_DISABLED, EventKind.KEY_REVOKED]


def test_a_revocation_says_when_and_why_and_is_final(bed: Bed) -> None:
    minted, text = bed.mint("a:b")
    revoked = bed.issuer.revoke(minted.key.id, by=OPERATOR, reason="lost", wait=True)
    assert (revoked.status, revoked.revoked_at, revoked.revoked_reason) == (Status.REVOKED, bed.at, "lost")
    assert bed.verdict(text) == "revoked"
    for work in operations(bed.issuer, minted.key.id):
        assert refusal(work) == "key_revoked"
    with pytest.raises(ValidationFailed):
        bed.issuer.revoke(minted.key.id, by=OPERATOR, reason="a\nb")


def test_a_change_of_an_older_revision_is_refused(bed: Bed) -> None:
    minted, _ = bed.mint("a:b")
    changed = bed.issuer.update(minted.key.id, {"name": "x"}, by=OPERATOR, if_match=minted.key.revision)
    assert changed.revision > minted.key.revision
    for stale in (minted.key.revision, changed.revision + 1, 0):
        for work in operations(bed.issuer, minted.key.id, if_match=stale):
            with pytest.raises(PreconditionFailed, match=str(changed.revision)):
                work()
    assert bed.issuer.get(minted.key.id, by=OPERATOR) == changed


def test_a_key_that_does_not_exist_is_not_found(memory: Bed) -> None:
    for work in [*operations(memory.issuer, new_id()), lambda: memory.issuer.revoke(new_id(), by=OPERATOR)]:
        assert refusal(work) == "not_found"
    assert refusal(memory.issuer.get, new_id(), by=OPERATOR) == "not_found"


def test_a_key_of_another_tenant_does_not_exist_for_whoever_does_not_manage_tenants(bed: Bed) -> None:
    bed.tenants.create("acme", by=OPERATOR)
    theirs, _ = bed.mint("a:b", tenant="acme")
    ours, text = bed.mint("keys:manage", "a:b")
    by = bed.authority(text)
    for work in operations(bed.issuer, theirs.key.id, by=by):
        assert refusal(work) == "not_found"
    assert refusal(bed.issuer.get, theirs.key.id, by=by) == "not_found"
    assert refusal(bed.issuer.revoke, theirs.key.id, by=by) == "not_found"
    assert [key.id for key in bed.issuer.find(Listing(), by=by)[0]] == [ours.key.id]
    with pytest.raises(NotHeld):
        bed.issuer.find(Listing(tenant="acme"), by=by)
    assert len(bed.issuer.find(Listing(), by=OPERATOR)[0]) == 2
    assert [key.id for key in bed.issuer.find(Listing(tenant="acme"), by=OPERATOR)[0]] == [theirs.key.id]


def test_reading_needs_to_be_held_and_managing_includes_it(memory: Bed) -> None:
    minted, plain = memory.mint("a:b")
    _, reader = memory.mint("keys:read")
    _, manager = memory.mint("keys:manage")
    for text, expected in [(plain, "insufficient_scope"), (reader, None), (manager, None)]:
        by = memory.authority(text)
        assert refusal(memory.issuer.get, minted.key.id, by=by) == expected
        assert refusal(memory.issuer.find, Listing(), by=by) == expected
    for work in operations(memory.issuer, minted.key.id, by=memory.authority(reader)):
        assert refusal(work) == "insufficient_scope"
    assert refusal(memory.issuer.mint, Wish("n"), by=memory.authority(reader)) == "insufficient_scope"


def test_a_list_comes_in_pages_in_the_order_of_minting(bed: Bed) -> None:
    made = [bed.mint(name=f"n{number}")[0].key.id for number in range(5)]
    first, cursor = bed.issuer.find(Listing(most=2), by=OPERATOR)
    second, again = bed.issuer.find(Listing(most=2, after=cursor or 0), by=OPERATOR)
    third, end = bed.issuer.find(Listing(most=2, after=again or 0), by=OPERATOR)
    assert [key.id for key in (*first, *second, *third)] == made
    assert end is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2040-01-01T00:00:00.75Z", "2040-01-01T00:00:00+00:00"),
        ("2040-01-01T01:00:00+01:00", "2040-01-01T00:00:00+00:00"),
    ],
)
def test_an_expiry_is_kept_in_utc_to_the_second(memory: Bed, given: str, kept: str) -> None:
    minted, _ = memory.mint("a:b", expires_at=given)
    assert minted.key.expires_at == datetime.fromisoformat(kept)


@pytest.mark.spec("CO-17")
def test_keys_from_the_environment_are_changed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM="
    monkeypatch.setenv("THE_KEY", text)
    with Verifier.open("env:THE_KEY", peppers=PEPPERS, clock=FixedClock()) as verifier:
        bed = Bed(verifier, FixedClock(), None)
        by = bed.authority(text)
        assert by.key is not None
        works = operations(bed.issuer, by.key.id)
        works += [lambda: bed.mint("a:b"), lambda: bed.issuer.give_up(by=by)]
        works += [lambda: bed.issuer.revoke(by.key.id, by=OPERATOR)]
        assert {refusal(work) for work in works} == {"unsupported_store"}
        assert bed.verdict(text, "a:b") == "ok"


def test_no_key_lifts_the_default_limit_from_itself_or_from_what_it_makes() -> None:
    with opened(policy=Policy(limits=(Limit("requests", 3, 60),))) as bed:
        minted, text = bed.mint("keys:manage", "a:b")
        by = bed.authority(text)
        wide = [Limit("requests", 10**6, 1)]
        assert refusal(bed.mint, "a:b", limits=wide, by=by) == "insufficient_scope"
        assert refusal(bed.issuer.update, minted.key.id, {"limits": wide}, by=by) == "insufficient_scope"
        _, child = bed.mint("a:b", by=by)
        assert [bed.verdict(child) for _ in range(4)] == ["ok", "ok", "ok", "rate"]
        assert refusal(bed.mint, "a:b", limits=wide) is None
        _, root = bed.mint("*:*")
        assert refusal(bed.mint, "a:b", limits=wide, by=bed.authority(root)) is None
