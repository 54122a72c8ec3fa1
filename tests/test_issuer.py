"""Mint, change, rotate, revoke, case by case; the life of keys as a whole is in test_key_lives.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from engine_bed import OPERATOR, STORES, Bed, details, opened, refusal

from keyrack import Authority, Policy, Verifier, Wish
from keyrack.core.errors import (
    Conflict,
    NotFound,
    NotHeld,
    PreconditionFailed,
    SecretDated,
    ValidationFailed,
)
from keyrack.core.events import EventKind, open_entry
from keyrack.core.model import Key, Limit, Status, VersionState
from keyrack.idempotency import Once
from keyrack.issuer import Minted, new_id
from keyrack.stores.protocols import Excerpt, Listing
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


def kinds(bed: Bed, key: Key) -> list[EventKind]:
    """What the log says happened to a key."""
    entries = bed.stores.keys.entries(Excerpt(subject=key.id, most=100))
    return [open_entry(entry, bed.stores.peppers)[0].kind for entry in entries]


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


def operations(issuer: Any, key_id: str, by: Authority = OPERATOR, **options: Any) -> list[Callable[[], Any]]:
    """Every change of a key but revoking it."""
    return [
        lambda: issuer.update(key_id, {"name": "x"}, by=by, **options),
        lambda: issuer.disable(key_id, by=by, **options),
        lambda: issuer.enable(key_id, by=by, **options),
        lambda: issuer.rotate(key_id, by=by, **options),
        lambda: issuer.promote(key_id, by=by, **options),
        lambda: issuer.abort(key_id, by=by, **options),
        lambda: issuer.undo(key_id, by=by, **options),
    ]


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


class TestRotation:
    def test_both_secrets_work_until_grace_is_over(self, bed: Bed) -> None:
        minted, old = bed.mint("a:b")
        rotated = bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=2))
        new = str(rotated.secret)
        assert (rotated.key.id, rotated.key.ending) == (minted.key.id, new[-4:])
        assert [bed.verdict(text) for text in (old, new)] == ["ok", "ok"]
        bed.passes(hours=2)
        assert [bed.verdict(text) for text in (old, new)] == ["retired", "ok"]

    def test_a_compromised_secret_ends_at_once_and_never_comes_back(self, bed: Bed) -> None:
        minted, old = bed.mint("a:b")
        rotated = bed.issuer.rotate(
            minted.key.id, by=OPERATOR, grace=timedelta(0), compromised=True, force=True
        )
        assert [bed.verdict(text) for text in (old, str(rotated.secret))] == ["retired", "ok"]
        assert refusal(bed.issuer.undo, minted.key.id, by=OPERATOR) == "undo_expired"
        assert rotated.key.versions[0].state is VersionState.DESTROYED

    def test_grace_ends_with_the_key(self, memory: Bed) -> None:
        minted, old = memory.mint(expires_at=memory.at + timedelta(hours=3))
        rotated = memory.issuer.rotate(minted.key.id, by=OPERATOR).key
        assert rotated.versions[0].not_after == minted.key.expires_at
        memory.issuer.update(minted.key.id, {"expires_at": None}, by=OPERATOR)
        memory.passes(hours=3)
        assert memory.verdict(old) == "retired"

    def test_an_expired_key_is_not_rotated(self, memory: Bed) -> None:
        minted, _ = memory.mint(expires_at=memory.at + timedelta(hours=3))
        memory.passes(hours=3)
        assert refusal(memory.issuer.rotate, minted.key.id, by=OPERATOR) == "key_expired"

    @pytest.mark.parametrize("grace", [timedelta(0), timedelta(minutes=59), timedelta(days=7, seconds=1)])
    def test_grace_out_of_range_is_refused_before_anything(self, memory: Bed, grace: timedelta) -> None:
        assert refusal(memory.issuer.rotate, new_id(), by=OPERATOR, grace=grace) == "validation_error"

    def test_a_version_that_ended_a_month_ago_is_unknown_and_forgotten_by_the_next_rotation(
        self, memory: Bed
    ) -> None:
        minted, old = memory.mint("a:b")
        memory.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
        memory.passes(hours=1)
        memory.passes(days=30, seconds=-1)
        assert memory.verdict(old) == "retired"
        memory.passes(1)
        assert memory.verdict(old) == "unknown"
        rotated = memory.issuer.rotate(minted.key.id, by=OPERATOR).key
        assert [version.number for version in rotated.versions] == [2, 3]
        assert memory.verdict(old) == "unknown"

    def test_undo_brings_the_old_secret_back_and_gives_the_new_one_a_day(self, bed: Bed) -> None:
        minted, old = bed.mint("a:b")
        new = str(bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1)).secret)
        bed.issuer.promote(minted.key.id, by=OPERATOR)
        assert [bed.verdict(text) for text in (old, new)] == ["retired", "ok"]
        bed.issuer.undo(minted.key.id, by=OPERATOR)
        assert [bed.verdict(text) for text in (old, new)] == ["ok", "ok"]
        bed.passes(days=1)
        assert [bed.verdict(text) for text in (old, new)] == ["ok", "retired"]

    def test_abort_drops_the_new_secret(self, bed: Bed) -> None:
        minted, old = bed.mint("a:b")
        new = str(bed.issuer.rotate(minted.key.id, by=OPERATOR).secret)
        bed.issuer.abort(minted.key.id, by=OPERATOR)
        assert [bed.verdict(text) for text in (old, new)] == ["ok", "retired"]
        bed.passes(days=8)
        assert bed.verdict(old) == "ok"


class TestOwnKey:
    """What the holder of a key may do to the key itself."""

    @pytest.mark.parametrize("store", STORES)
    def test_a_dated_secret_changes_nothing_of_its_own_key(self, store: str) -> None:
        with opened(store) as bed:
            minted, old = bed.mint("*:*")
            rotated = bed.issuer.rotate(minted.key.id, by=OPERATOR)
            by = bed.authority(old)
            for work in operations(bed.issuer, minted.key.id, by=by):
                with pytest.raises(SecretDated):
                    work()
            with pytest.raises(SecretDated):
                bed.issuer.revoke(minted.key.id, by=by)
            assert bed.issuer.get(minted.key.id, by=OPERATOR) == rotated.key
            assert refusal(bed.mint, "a:b", by=by) is None
            assert (
                refusal(operations(bed.issuer, minted.key.id, by=bed.authority(str(rotated.secret)))[0])
                is None
            )

    def test_a_secret_that_was_dated_after_it_was_proved_changes_nothing_either(self, memory: Bed) -> None:
        minted, old = memory.mint("*:*")
        by = memory.authority(old)
        memory.issuer.rotate(minted.key.id, by=OPERATOR)
        with pytest.raises(SecretDated):
            memory.issuer.abort(minted.key.id, by=by)

    def test_giving_up_a_key_revokes_it(self, bed: Bed) -> None:
        minted, text = bed.mint("a:b")
        by = bed.authority(text)
        given_up = bed.issuer.give_up(by=by)
        assert (given_up.status, given_up.revoked_reason) == (Status.REVOKED, "given up by its holder")
        assert bed.verdict(text) == "revoked"
        assert bed.issuer.give_up(by=by) == given_up
        assert kinds(bed, minted.key)[1:] == [EventKind.KEY_REVOKED]

    def test_giving_up_a_dated_secret_ends_that_one_for_good(self, bed: Bed) -> None:
        minted, old = bed.mint("a:b")
        new = str(bed.issuer.rotate(minted.key.id, by=OPERATOR).secret)
        by = bed.authority(old)
        ended = bed.issuer.give_up(by=by)
        assert [bed.verdict(text) for text in (old, new)] == ["retired", "ok"]
        assert refusal(bed.issuer.undo, minted.key.id, by=OPERATOR) == "undo_expired"
        assert bed.issuer.give_up(by=by) == ended
        assert kinds(bed, minted.key)[2:] == [EventKind.VERSION_ENDED]

    def test_giving_up_what_a_compromised_rotation_destroyed_leaves_it_destroyed(self, memory: Bed) -> None:
        minted, old = memory.mint("a:b")
        by = memory.authority(old)
        rotated = memory.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(0), compromised=True)
        assert memory.issuer.give_up(by=by) == rotated.key
        assert refusal(memory.issuer.undo, minted.key.id, by=OPERATOR) == "undo_expired"

    def test_only_a_holder_gives_a_key_up(self, memory: Bed) -> None:
        for by in (OPERATOR, Authority.service("s", ["*:*"])):
            with pytest.raises(Conflict):
                memory.issuer.give_up(by=by)


class TestTheGiverAsItIsNow:
    """Between the proof of a key and the commit of what it asks for, the key may have ended."""

    ENDINGS: ClassVar[dict[str, Callable[[Bed, Key], object]]] = {
        "revoked": lambda bed, key: bed.issuer.revoke(key.id, by=OPERATOR),
        "disabled": lambda bed, key: bed.issuer.disable(key.id, by=OPERATOR),
        "expired": lambda bed, key: bed.passes(hours=1),
        "narrowed": lambda bed, key: bed.issuer.update(key.id, {"scopes": ["keys:manage"]}, by=OPERATOR),
        "destroyed": lambda bed, key: bed.issuer.rotate(
            key.id, by=OPERATOR, grace=timedelta(0), compromised=True
        ),
        "limited": lambda bed, key: bed.issuer.update(
            key.id, {"limits": [{"name": "m", "limit": 1, "window_seconds": 60}]}, by=OPERATOR
        ),
    }

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_what_it_could_do_then_it_can_no_longer_do(self, memory: Bed, ending: str) -> None:
        giver, text = memory.mint("keys:manage", "a:*", expires_at=memory.at + timedelta(hours=1))
        target, _ = memory.mint("a:b", expires_at=memory.at + timedelta(hours=1))
        memory.issuer.disable(target.key.id, by=OPERATOR)
        by = memory.authority(text)
        wish = Wish("child", scopes=["a:b"], expires_at=memory.at + timedelta(minutes=30))
        assert refusal(memory.issuer.mint, wish, by=by) is None
        self.ENDINGS[ending](memory, giver.key)
        attempts = [
            lambda: memory.issuer.mint(replace(wish, expires_at=memory.at + timedelta(minutes=1)), by=by),
            lambda: memory.issuer.enable(target.key.id, by=by),
            lambda: memory.issuer.update(target.key.id, {"name": "x"}, by=by),
        ]
        assert [refusal(work) for work in attempts] == ["insufficient_scope"] * 3


class TestOnce:
    """An Idempotency-Key: the same call twice is one call, for a day."""

    def test_a_repeat_answers_with_the_key_and_no_secret(self, bed: Bed) -> None:
        once = Once("header", b"body")
        first = bed.issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR, once=once)
        again = bed.issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR, once=once)
        assert first.secret is not None
        assert again == Minted(first.key, None)
        assert len(bed.issuer.find(Listing(), by=OPERATOR)[0]) == 1

    def test_a_repeated_rotation_rotates_once_and_shows_the_key_as_it_is_now(self, bed: Bed) -> None:
        minted, _ = bed.mint("a:b")
        once = Once("header", b"body")
        bed.issuer.rotate(minted.key.id, by=OPERATOR, once=once)
        renamed = bed.issuer.update(minted.key.id, {"name": "x"}, by=OPERATOR)
        assert bed.issuer.rotate(minted.key.id, by=OPERATOR, once=once) == Minted(renamed, None)

    def test_another_body_is_a_conflict(self, bed: Bed) -> None:
        bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"body"))
        with pytest.raises(Conflict, match="another body"):
            bed.issuer.mint(Wish("m"), by=OPERATOR, once=Once("header", b"other"))
        assert len(bed.issuer.find(Listing(), by=OPERATOR)[0]) == 1

    def test_callers_and_operations_have_headers_of_their_own(self, bed: Bed) -> None:
        once = Once("header", b"body")
        bed.tenants.create("acme", by=OPERATOR)
        callers = [OPERATOR, Authority.operator("other"), Authority.service("tests", ["*:*"])]
        callers += [
            Authority.service("tests", ["*:*"], tenant="acme"),
            bed.authority(bed.mint("keys:manage")[1]),
        ]
        minted = [bed.issuer.mint(Wish("n"), by=by, once=once) for by in callers]
        rotated = [bed.issuer.rotate(one.key.id, by=OPERATOR, once=once) for one in minted]
        assert all(one.secret for one in (*minted, *rotated))
        assert len({one.key.id for one in minted}) == len(callers)

    def test_it_is_forgotten_after_a_day(self, bed: Bed) -> None:
        once = Once("header", b"body")
        first = bed.issuer.mint(Wish("n"), by=OPERATOR, once=once)
        bed.passes(days=1, seconds=-1)
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once).key == first.key
        bed.passes(1)
        second = bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"other"))
        assert second.secret is not None
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=Once("header", b"other")) == Minted(
            second.key, None
        )

    def test_a_call_that_failed_is_not_remembered(self, bed: Bed) -> None:
        once = Once("header", b"body")
        assert refusal(bed.mint, tenant="never") == "not_found"
        with pytest.raises(NotFound):
            bed.issuer.mint(Wish("n", tenant="never"), by=OPERATOR, once=once)
        assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once).secret is not None

    def test_a_wish_that_has_become_invalid_is_still_answered_as_it_was(self, memory: Bed) -> None:
        """A repeat may come when the expiry that it asks for lies in the past."""
        wish = Wish("n", expires_at=memory.at + timedelta(hours=1))
        once = Once("header", b"body")
        first = memory.issuer.mint(wish, by=OPERATOR, once=once)
        memory.passes(hours=2)
        assert memory.issuer.mint(wish, by=OPERATOR, once=once) == Minted(first.key, None)

    def test_it_is_remembered_across_a_new_first_pepper(self, tmp_path: Any) -> None:
        once, new = Once("header", b"body"), "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"
        with opened("sqlite", folder=tmp_path) as bed:
            first = bed.issuer.mint(Wish("n"), by=OPERATOR, once=once)
        with opened("sqlite", folder=tmp_path, peppers=f"{new},{PEPPERS}") as bed:
            assert bed.issuer.mint(Wish("n"), by=OPERATOR, once=once) == Minted(first.key, None)

    def test_twenty_at_once_make_one_key(self, bed: Bed) -> None:
        once = Once("header", b"body")
        minted: list[Minted] = []
        together = threading.Barrier(20)

        def mint() -> None:
            together.wait()
            minted.append(bed.issuer.mint(Wish("n"), by=OPERATOR, once=once))

        threads = [threading.Thread(target=mint) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(minted) == 20
        assert len({one.key.id for one in minted}) == 1
        assert len([one for one in minted if one.secret]) == 1


def test_a_replay_and_a_minted_key_never_show_the_secret(memory: Bed) -> None:
    minted, text = memory.mint("a:b")
    assert text not in f"{minted!r} {minted}"
    assert "body" not in repr(Once("header", b"body"))


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
        bed = Bed(verifier, FixedClock(), None)  # type: ignore[arg-type]
        by = bed.authority(text)
        assert by.key is not None
        works = operations(bed.issuer, by.key.id)
        works += [lambda: bed.mint("a:b"), lambda: bed.issuer.give_up(by=by)]
        works += [lambda: bed.issuer.revoke(by.key.id, by=OPERATOR)]  # type: ignore[union-attr]
        assert {refusal(work) for work in works} == {"unsupported_store"}
        assert bed.verdict(text, "a:b") == "ok"
