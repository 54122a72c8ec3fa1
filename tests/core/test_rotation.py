"""The life of a secret version as a state machine, against a model that keeps nothing but dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from drawing import NOW
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keyrack.core import rotation
from keyrack.core.errors import Conflict, ValidationFailed
from keyrack.core.model import Secret, VersionState
from keyrack.core.rotation import (
    MAX_GRACE,
    MAX_LIVE,
    MIN_GRACE,
    RECOGNISED_FOR,
    UNDO_WITHIN,
    check_grace,
    is_live,
    live,
    recognised,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
graces = st.sampled_from([HOUR, 5 * HOUR, DAY, 3 * DAY, 7 * DAY])


def secret(number: int, now: datetime = NOW, **given: object) -> Secret:
    return Secret(number, VersionState.LIVE, now, "p1", bytes(32), **given)


@dataclass
class Life:
    """What the model knows of one version: when it ends, if it does, and whether that is for good."""

    ends_at: datetime | None = None
    dead: str | None = None

    def live(self, now: datetime) -> bool:
        return self.dead is None and (self.ends_at is None or now < self.ends_at)

    def end(self, now: datetime, dead: str | None) -> None:
        self.ends_at = now if self.ends_at is None else min(now, self.ends_at)
        self.dead = dead


class Lives(RuleBasedStateMachine):
    """Each rule does one thing to the versions and to the model, or sees both of them refuse."""

    @initialize()
    def mint(self) -> None:
        self.now = NOW
        self.versions: tuple[Secret, ...] = (secret(1),)
        self.model = {1: Life()}
        self.reigns = [1]
        """Numbers in the order in which they became the primary, without those that were dropped."""

    def standing(self) -> list[int]:
        return sorted(number for number, life in self.model.items() if life.live(self.now))

    def refused(self, code: str) -> object:
        return pytest.raises(Conflict, check=lambda error: error.code == code)

    @rule(hours=st.sampled_from([1, 5, 23, 24, 25, 24 * 8, 24 * 40]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(grace=graces, force=st.booleans())
    def rotate(self, grace: timedelta, force: bool) -> None:
        number = rotation.next_number(self.versions)
        assert number == max(self.model) + 1
        standing = len(self.standing())
        new, ends_at = secret(number, self.now), self.now + grace
        if standing >= MAX_LIVE or (standing > 1 and not force):
            code = "version_limit" if standing >= MAX_LIVE else "rotation_active"
            with self.refused(code):
                rotation.start(self.versions, new, now=self.now, ends_at=ends_at, force=force)
            return
        self.versions = rotation.start(self.versions, new, now=self.now, ends_at=ends_at, force=force)
        self.model[self.reigns[-1]].ends_at = ends_at
        self.model[number] = Life()
        self.reigns.append(number)

    @rule()
    def rotate_compromised(self) -> None:
        number = rotation.next_number(self.versions)
        self.versions = rotation.replace_compromised(self.versions, secret(number, self.now), now=self.now)
        for life in self.model.values():
            life.end(self.now, "destroyed")
        self.model[number] = Life()
        self.reigns.append(number)

    @rule()
    def promote(self) -> None:
        if len(self.standing()) < 2:
            with self.refused("no_rotation"):
                rotation.promote(self.versions, self.now)
            return
        self.versions = rotation.promote(self.versions, self.now)
        for number in self.standing():
            if number != self.reigns[-1]:
                self.model[number].end(self.now, None)

    @rule()
    def abort(self) -> None:
        if len(self.standing()) < 2:
            with self.refused("no_rotation"):
                rotation.abort(self.versions, self.now)
            return
        self.versions = rotation.abort(self.versions, self.now)
        newest = self.standing()[-1]
        self.model[newest].end(self.now, "aborted")
        self.reigns.remove(newest)
        self.crown([number for number in self.reigns if self.model[number].live(self.now)][-1])

    @rule(grace=graces)
    def undo(self, grace: timedelta) -> None:
        standing, primary = self.standing(), self.reigns[-1]
        before = [number for number in self.reigns if number < primary]
        code = "rotation_active" if len(standing) > 1 else None if before else "no_rotation"
        if code is None:
            last = self.model[before[-1]]
            assert last.ends_at is not None
            late = self.now >= last.ends_at + UNDO_WITHIN
            code = "undo_expired" if late or last.dead == "destroyed" else None
        if code is not None:
            with self.refused(code):
                rotation.undo(self.versions, self.now, ends_at=self.now + grace)
            return
        self.versions = rotation.undo(self.versions, self.now, ends_at=self.now + grace)
        self.model[primary].ends_at = self.now + grace
        self.crown(before[-1])

    @precondition(lambda self: len(self.standing()) > 1)
    @rule(data=st.data())
    def holder_gives_a_dated_version_up(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from([one for one in self.standing() if one != self.reigns[-1]]))
        self.versions = rotation.end_version(self.versions, number, self.now)
        self.model[number].end(self.now, "destroyed")

    @rule()
    def holder_gives_an_ended_version_up(self) -> None:
        ended = sorted(set(self.model) - set(self.standing()))
        for number in [*ended, 999]:
            assert rotation.end_version(self.versions, number, self.now) == self.versions

    @rule()
    def forget_what_ended_long_ago(self) -> None:
        kept = recognised(self.versions, self.now)
        numbers = {version.number for version in kept}
        for number, life in self.model.items():
            long_ago = life.ends_at is not None and self.now >= life.ends_at + RECOGNISED_FOR
            assert (number in numbers) == (not long_ago)
        self.versions = kept
        self.model = {number: life for number, life in self.model.items() if number in numbers}
        self.reigns = [number for number in self.reigns if number in numbers]

    def crown(self, number: int) -> None:
        self.model[number] = Life()
        self.reigns = [one for one in self.reigns if one != number] + [number]

    @invariant()
    def the_versions_are_as_the_model_says(self) -> None:
        by_number = {version.number: version for version in self.versions}
        assert len(by_number) == len(self.versions)
        assert set(by_number) == set(self.model)
        for number, life in self.model.items():
            version = by_number[number]
            assert is_live(version, self.now) == life.live(self.now)
            assert version.not_after == life.ends_at
            assert life.dead in (None, version.state)

    @invariant()
    def one_live_version_is_undated_it_is_the_primary_and_there_are_five_at_most(self) -> None:
        standing = live(self.versions, self.now)
        undated = [one for one in self.versions if one.state is VersionState.LIVE and one.not_after is None]
        assert [one.number for one in undated] == [self.reigns[-1]]
        assert standing[-1] == undated[0]
        assert 1 <= len(standing) <= MAX_LIVE
        assert rotation.rotating(self.versions, self.now) == (len(standing) > 1)

    @invariant()
    def no_end_lies_further_ahead_than_the_longest_grace(self) -> None:
        ends = [version.not_after for version in self.versions if version.not_after is not None]
        assert all(end <= self.now + MAX_GRACE for end in ends)


TestLives = Lives.TestCase


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)), st.booleans())
def test_grace_is_an_hour_to_a_week_and_none_for_a_compromised_key(
    grace: timedelta, compromised: bool
) -> None:
    right = grace == timedelta(0) if compromised else HOUR <= grace <= 7 * DAY
    if right:
        check_grace(grace, compromised=compromised)
        return
    with pytest.raises(ValidationFailed) as error:
        check_grace(grace, compromised=compromised)
    assert list(error.value.details["fields"]) == ["grace_seconds"]


@pytest.mark.parametrize("grace", [MIN_GRACE, MAX_GRACE])
def test_the_bounds_of_grace_are_within_it(grace: timedelta) -> None:
    check_grace(grace, compromised=False)
    with pytest.raises(ValidationFailed):
        check_grace(grace, compromised=True)


def test_a_compromised_secret_gets_no_grace_and_no_other_secret_gets_none() -> None:
    check_grace(timedelta(0), compromised=True)
    with pytest.raises(ValidationFailed):
        check_grace(timedelta(0), compromised=False)


def test_a_version_is_live_until_the_instant_of_its_end() -> None:
    version = secret(1, not_after=NOW)
    assert is_live(version, NOW - timedelta(microseconds=1))
    assert not is_live(version, NOW)


@pytest.mark.parametrize("state", sorted(set(VersionState) - {VersionState.LIVE}))
def test_only_the_state_live_is_live(state: VersionState) -> None:
    assert not is_live(Secret(1, state, NOW, "p1", bytes(32)), NOW)


def test_the_first_version_is_number_one() -> None:
    assert rotation.next_number(()) == 1


def test_aborting_after_a_forced_rotation_brings_back_the_one_that_was_the_primary() -> None:
    """After an undo the primary is older than a secret in grace; that one must not be undated again."""
    first, second = secret(1), secret(2, not_after=NOW + DAY)
    rotated = rotation.start((second, first), secret(3), now=NOW, ends_at=NOW + DAY, force=True)
    aborted = rotation.abort(rotated, NOW)
    assert [version.number for version in aborted if version.not_after is None] == [1]


def test_two_undated_versions_of_an_imported_key_become_one_by_promotion() -> None:
    promoted = rotation.promote((secret(1), secret(2)), NOW)
    assert [version.number for version in live(promoted, NOW)] == [2]


def test_a_sixth_live_secret_is_refused_however_it_is_asked_for() -> None:
    versions: tuple[Secret, ...] = (secret(1),)
    for number in range(2, MAX_LIVE + 1):
        versions = rotation.start(versions, secret(number), now=NOW, ends_at=NOW + DAY, force=True)
    assert len(live(versions, NOW)) == MAX_LIVE
    for force in (True, False):
        with pytest.raises(Conflict, check=lambda error: error.code == "version_limit"):
            rotation.start(versions, secret(6), now=NOW, ends_at=NOW + DAY, force=force)
    assert rotation.live(rotation.replace_compromised(versions, secret(6), now=NOW), NOW) == (secret(6),)


def test_a_secret_is_recognised_for_thirty_days_and_not_an_instant_longer() -> None:
    ended = secret(1, not_after=NOW)
    assert recognised((ended,), NOW + RECOGNISED_FOR - timedelta(microseconds=1)) == (ended,)
    assert recognised((ended,), NOW + RECOGNISED_FOR) == ()


def test_undo_is_refused_at_the_instant_when_its_day_is_over() -> None:
    versions = (secret(1, not_after=NOW), secret(2))
    just_before = rotation.undo(
        versions, NOW + UNDO_WITHIN - timedelta(microseconds=1), ends_at=NOW + 9 * DAY
    )
    assert live(just_before, NOW + UNDO_WITHIN)[-1].number == 1
    with pytest.raises(Conflict, match="within a day") as refused:
        rotation.undo(versions, NOW + UNDO_WITHIN, ends_at=NOW + 9 * DAY)
    assert refused.value.code == "undo_expired"


def test_what_is_promoted_over_is_retired() -> None:
    promoted = rotation.promote((secret(1, not_after=NOW + DAY), secret(2)), NOW)
    assert [(one.state, one.not_after) for one in promoted] == [
        (VersionState.RETIRED, NOW),
        (VersionState.LIVE, None),
    ]


def test_what_a_rotation_under_way_allows_is_refused_without_one_and_the_reverse() -> None:
    alone, two = (secret(1),), (secret(1, not_after=NOW + DAY), secret(2))
    for refused, code in (
        (lambda: rotation.promote(alone, NOW), "no_rotation"),
        (lambda: rotation.abort(alone, NOW), "no_rotation"),
        (lambda: rotation.undo(alone, NOW, ends_at=NOW + DAY), "no_rotation"),
        (lambda: rotation.undo(two, NOW, ends_at=NOW + DAY), "rotation_active"),
        (
            lambda: rotation.start(two, secret(3), now=NOW, ends_at=NOW + DAY, force=False),
            "rotation_active",
        ),
    ):
        with pytest.raises(Conflict) as raised:
            refused()
        assert raised.value.code == code
