"""Rotating a key, what its holder may do to it, and a giver that ends before its wish is committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from engine_bed import OPERATOR, STORES, Bed, kinds, opened, operations, refusal

from keyrack import Authority, Policy, Wish
from keyrack.core.errors import (
    Conflict,
    SecretDated,
)
from keyrack.core.events import EventKind
from keyrack.core.model import Key, Status, VersionState
from keyrack.drawing import new_id

POLICY = Policy(roles={"rotating": ("self:rotate",)})


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

    def test_whoever_could_not_grant_a_key_does_not_abort_its_rotation(self, memory: Bed) -> None:
        """It takes the end off the old secret, which is more than the key had."""
        minted, _ = memory.mint("*:*")
        memory.issuer.rotate(minted.key.id, by=OPERATOR)
        _, text = memory.mint("keys:manage")
        before = memory.issuer.get(minted.key.id, by=OPERATOR)
        assert refusal(memory.issuer.abort, minted.key.id, by=memory.authority(text)) == "insufficient_scope"
        assert memory.issuer.get(minted.key.id, by=OPERATOR) == before

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


class TestRotatingOneself:
    """With `self:rotate`, by the newest secret that has no end."""

    def test_a_role_that_narrows_a_key_does_not_keep_it_from_a_new_secret(self) -> None:
        with opened(policy=POLICY) as bed:
            minted, text = bed.mint("self:rotate", "a:write", "*:rotate", role="rotating")
            rotated = bed.issuer.rotate(minted.key.id, by=bed.authority(text))
            assert rotated.key.scopes == minted.key.scopes
            assert bed.verdict(str(rotated.secret), "a:write") == "scope"

    def test_a_key_rotates_itself_only_while_its_newest_secret_is_its_only_one(self, memory: Bed) -> None:
        minted, old = memory.mint("self:rotate")
        by = memory.authority(old)
        new = str(memory.issuer.rotate(minted.key.id, by=by, grace=timedelta(hours=1)).secret)
        with pytest.raises(SecretDated):
            memory.issuer.rotate(minted.key.id, by=by)
        newest = memory.authority(new)
        assert refusal(memory.issuer.rotate, minted.key.id, by=newest) == "rotation_active"
        memory.passes(hours=1)
        assert refusal(memory.issuer.rotate, minted.key.id, by=by) == "insufficient_scope"
        assert memory.issuer.rotate(minted.key.id, by=newest).key.versions[-1].number == 3

    def test_an_operator_reads_and_rotates_as_ever(self, memory: Bed) -> None:
        minted, _ = memory.mint("self:rotate")
        assert memory.issuer.get(minted.key.id, by=OPERATOR) == minted.key
        assert len(memory.issuer.rotate(minted.key.id, by=OPERATOR).key.versions) == 2
