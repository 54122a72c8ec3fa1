"""The life of an upstream's key under any sequence of calls, at times that are passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from engine_bed import refusal
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import rotation
from keyrack.core.errors import KeyrackError
from keyrack.core.model import VersionState
from keyrack.core.sending import candidates
from keyrack.core.upstream import Plan, SendPolicy, Upstream
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.rotations import ACTIVE, EXPIRED, NONE, Start

NOW = datetime(2030, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
CALLS = ("start", "force", "replace", "promote", "destroy", "abort", "undo", "clean", "extend")
steps = st.lists(
    st.tuples(st.sampled_from(CALLS), st.integers(1, 168), st.integers(0, 200), st.sampled_from(Plan)),
    max_size=14,
)


def upstream() -> Upstream:
    return Upstream("acme", "models", "x-api-key", NOW, (), (rotations.first_version("k" * 24, 1, NOW),))


def called(before: Upstream, call: str, *, now: datetime, end: datetime, plan: Plan) -> Upstream:
    """The upstream after a call; as it was when the call is refused."""
    version = rotations.first_version("k" * 24, rotation.next_number(before.versions), now)
    calls = {
        "start": lambda: rotations.started(before, version, Start(end, plan), now=now),
        "force": lambda: rotations.started(before, version, Start(end, plan, force=True), now=now),
        "replace": lambda: rotations.replaced(before, version, now=now),
        "promote": lambda: rotations.promoted(before, now=now),
        "destroy": lambda: rotations.promoted(before, now=now, destroy=True),
        "abort": lambda: rotations.aborted(before, now=now),
        "undo": lambda: rotations.undone(before, now=now),
        "clean": lambda: rotations.cleaned(before, now=now) if rotations.is_expired(before, now) else before,
        "extend": lambda: rotations.ending(before, end, now=now),
    }
    try:
        return calls[call]()
    except KeyrackError:
        return before


@pytest.mark.spec("UG-11", "UG-12", "UG-19")
@given(steps)
def test_whatever_is_called_one_key_is_undated_and_at_most_five_are_live(
    drawn: list[tuple[str, int, int, Plan]],
) -> None:
    now, known, highest = NOW, upstream(), 1
    for call, grace, hours, plan in drawn:
        ended = {one.number for one in known.versions if one.state in _GONE}
        known = called(known, call, now=now, end=now + grace * HOUR, plan=plan)
        numbers = [one.number for one in known.versions]
        assert len(set(numbers)) == len(numbers)
        assert max(numbers) >= highest or call in ("start", "force", "replace")
        highest = max(highest, *numbers)
        for at in (now, now + hours * HOUR):
            live = rotation.live(known.versions, at)
            assert 1 <= len(live) <= rotation.MAX_LIVE
            assert [one.number for one in live if one.not_after is None] == [live[-1].number]
            assert not ended & {one.number for one in live}
            _require_sound(known, at)
        now += hours * HOUR


_GONE = (VersionState.ABORTED, VersionState.DESTROYED)


def _require_sound(known: Upstream, at: datetime) -> None:
    """What is sent is what is live; the state says how many there are; what is live is kept."""
    live = {one.number for one in rotation.live(known.versions, at)}
    for default in SendPolicy:
        assert {one.number for one in candidates(known, "q", default=default, now=at)} == live
    state = rotations.state(known, at)
    assert (state == ACTIVE) == (len(live) > 1)
    assert state in ((ACTIVE,) if len(live) > 1 else (NONE, EXPIRED))
    kept = {one.number for one in known.versions if rotations.is_kept(one, at)}
    assert live <= kept
    pair = rotations.pair(known, at)
    if state == ACTIVE:
        assert pair is not None
        assert {pair.old.number, pair.new.number} <= live


@pytest.mark.spec("UG-15")
@given(st.timezones(), st.integers(1, 168), st.integers(-5, 5))
def test_an_end_in_any_zone_is_the_same_instant(zone: object, hours: int, seconds: int) -> None:
    end = (NOW + hours * HOUR).astimezone(zone)  # hypothesis draws tzinfo
    version = rotations.first_version("k" * 24, 2, NOW)
    known = rotations.started(upstream(), version, Start(end), now=NOW)
    at = NOW + hours * HOUR + timedelta(seconds=seconds)
    found = [one.number for one in candidates(known, "q", default=SendPolicy.PREFER_NEW, now=at)]
    assert found == ([2, 1] if seconds < 0 else [2])


@pytest.mark.spec("UG-14")
@pytest.mark.parametrize(
    ("seconds", "is_inside"), [(3599, False), (3600, True), (604_800, True), (604_801, False)]
)
def test_the_bounds_of_grace_are_within_it(seconds: int, is_inside: bool) -> None:
    end = NOW + timedelta(seconds=seconds)
    of_end = refusal(rotations.check_end, end, started_at=NOW, now=NOW)
    codes = {of_end, refusal(rotations.grace_of, seconds)}
    assert codes == ({None} if is_inside else {"grace_out_of_range"})


@pytest.mark.spec("UG-3")
@pytest.mark.parametrize(
    ("key", "hint"),
    [("x" * 16, "…"), ("a" * 23, "…"), ("abcd" + "x" * 16 + "wxyz", "abcd…wxyz"), ("k" * 4096, "kkkk…kkkk")],
)
def test_a_hint_shows_the_ends_of_a_long_key_and_nothing_of_a_short_one(key: str, hint: str) -> None:
    assert rotations.hint(key) == hint
