"""Which version of an upstream's secret a request is sent with, at each instant of a rotation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import rotation
from keyrack.core.model import VersionState
from keyrack.core.sending import candidates, prefers_new, share
from keyrack.core.upstream import Rollout, SendPolicy, Upstream, UpstreamVersion

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PREFER, HOLD = SendPolicy.PREFER_NEW, SendPolicy.HOLD_OLD


def version(number: int) -> UpstreamVersion:
    return UpstreamVersion(number, VersionState.LIVE, NOW, "abcd…wxyz")


def upstream(
    versions: tuple[UpstreamVersion, ...] = (version(1),), rollout: Rollout | None = None
) -> Upstream:
    return Upstream("acme", "models", "authorization", NOW, (), versions, rollout=rollout)


def rotated(*, grace: timedelta = timedelta(days=1), **stated: object) -> Upstream:
    versions = rotation.start((version(1),), version(2), now=NOW, ends_at=NOW + grace, force=False)
    return upstream(versions, Rollout("r1", NOW, **stated))


def numbers(
    of: Upstream, *, default: SendPolicy = PREFER, at: datetime = NOW, request: str = "q"
) -> list[int]:
    return [one.number for one in candidates(of, request, default=default, now=at)]


@pytest.mark.spec("UG-12")
@pytest.mark.parametrize("default", [PREFER, HOLD])
def test_without_a_rotation_there_is_one_candidate(default: SendPolicy) -> None:
    assert numbers(upstream(), default=default) == [1]


@pytest.mark.spec("UG-12")
@pytest.mark.parametrize(("default", "during"), [(PREFER, [2, 1]), (HOLD, [1, 2])])
def test_the_old_version_is_a_candidate_until_the_instant_at_which_grace_ends(
    default: SendPolicy, during: list[int]
) -> None:
    ends_at = NOW + timedelta(days=1)
    found = [numbers(rotated(), default=default, at=ends_at + late * SECOND) for late in (-1, 0, 1)]
    assert found == [during, [2], [2]]


@pytest.mark.spec("UG-12")
def test_with_the_end_one_minute_ahead_both_work_and_two_minutes_later_the_new_one_alone() -> None:
    ending = rotated(grace=timedelta(minutes=1))
    assert numbers(ending) == [2, 1]
    assert numbers(ending, at=NOW + timedelta(minutes=2)) == [2]


@pytest.mark.spec("UG-19")
def test_of_several_old_versions_each_has_its_own_end_and_the_newest_goes_first() -> None:
    twice = rotation.start(
        rotated(grace=timedelta(hours=2)).versions,
        version(3),
        now=NOW,
        ends_at=NOW + timedelta(hours=5),
        force=True,
    )
    several = upstream(twice, Rollout("r2", NOW))
    assert numbers(several) == [3, 2, 1]
    assert numbers(several, default=HOLD) == [2, 3, 1]
    assert numbers(several, at=NOW + timedelta(hours=2)) == [3, 2]
    assert numbers(several, default=HOLD, at=NOW + timedelta(hours=5)) == [3]


def test_every_request_stands_below_a_hundred() -> None:
    shares = [share("r1", f"request-{one}") for one in range(10_000)]
    assert 0 <= min(shares) < 0.1
    assert 99.9 < max(shares) < 100


@pytest.mark.spec("UG-20")
@pytest.mark.parametrize("percent", [1, 25, 50])
def test_ten_thousand_requests_are_shared_as_the_rollout_says(percent: int) -> None:
    shared = rotated(percent=percent)
    new = sum(numbers(shared, request=f"request-{one}")[0] == 2 for one in range(10_000))
    assert abs(new / 100 - percent) <= 2


@pytest.mark.spec("UG-20")
@pytest.mark.parametrize("default", [PREFER, HOLD])
@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (100, 2)])
def test_a_share_that_an_operator_stated_counts_whatever_the_policy_was(
    percent: int, expected: int, default: SendPolicy
) -> None:
    assert numbers(rotated(percent=percent), default=default)[0] == expected


@pytest.mark.spec("UG-20")
def test_the_policy_of_the_rotation_goes_before_that_of_whoever_sends() -> None:
    assert numbers(rotated(policy=HOLD), default=PREFER) == [1, 2]
    assert numbers(rotated(policy=PREFER), default=HOLD) == [2, 1]


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([1, 25, 50, 100]))
def test_a_request_that_prefers_the_new_version_goes_on_to_when_the_share_grows(
    rollout: str, request: str, percent: int
) -> None:
    assert 0 <= share(rollout, request) < 100
    stated = Rollout(rollout, NOW, percent=percent)
    grown = replace(stated, percent=100)
    if prefers_new(stated, request, default=HOLD):
        assert prefers_new(grown, request, default=HOLD)


def test_what_is_left_of_a_rotation_that_nobody_recorded_prefers_the_new_version() -> None:
    versions = rotated().versions
    assert numbers(upstream(versions, None), default=HOLD) == [2, 1]
