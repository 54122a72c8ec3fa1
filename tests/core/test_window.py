"""The sliding window against a log of every unit that it admitted."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.model import Limit
from keyrack.core.window import LATE_TICKS, TICKS, Window, ticks

START = ticks(1_700_000_000)

logs = st.builds(Limit, st.just("log"), st.integers(1, 12), st.integers(1, 90))
slices = st.builds(Limit, st.just("slices"), st.integers(1_001, 3_000), st.integers(1, 90))
limits = st.one_of(logs, slices)
costs = st.one_of(st.integers(0, 5), st.integers(0, 1_000))
# Steps that meet the edges of windows and slices as well as arbitrary ones.
steps = st.one_of(
    st.sampled_from([0, 1, TICKS // 100, TICKS - 1, TICKS, TICKS + 1, 30 * TICKS, 60 * TICKS]),
    st.integers(0, 100 * TICKS),
)
takes = st.lists(st.tuples(steps, costs), max_size=40)


def take(window: Window, limit: Limit, cost: int, now: int) -> bool:
    fits = window.wait(limit, cost, now) == 0
    if fits:
        window.charge(limit, cost, now)
    return fits


def most_in_any_window(admitted: Iterable[tuple[int, int]], limit: Limit) -> int:
    """By brute force: the units in each half-open interval that begins at one of them."""
    log, length = list(admitted), limit.window_seconds * TICKS
    return max((sum(n for at, n in log if start <= at < start + length) for start, _ in log), default=0)


def filled(limit: Limit, *charges: tuple[int, int]) -> Window:
    window = Window()
    for at, cost in charges:
        window.charge(limit, cost, at)
    return window


@pytest.mark.spec("CI-93")
@given(limits, takes)
def test_no_window_ever_holds_more_than_the_limit(limit: Limit, takes: list[tuple[int, int]]) -> None:
    window, now, admitted = Window(), START, []
    for step, cost in takes:
        now += step
        if take(window, limit, cost, now):
            admitted.append((now, cost))
    assert most_in_any_window(admitted, limit) <= limit.limit


@given(limits, st.lists(st.tuples(steps, st.integers(0, 200 * TICKS), costs), max_size=40))
def test_a_clock_that_steps_back_admits_no_more(limit: Limit, takes: list[tuple[int, int, int]]) -> None:
    window, true_time, behind, admitted = Window(), START, 0, []
    for step, back, cost in takes:
        true_time, behind = true_time + step, behind + back
        if take(window, limit, cost, true_time - behind):
            admitted.append((true_time, cost))
    assert most_in_any_window(admitted, limit) <= limit.limit


@given(limits, st.lists(st.tuples(steps, st.integers(0, LATE_TICKS), costs), max_size=40))
def test_callers_that_read_the_clock_late_get_no_more(
    limit: Limit, takes: list[tuple[int, int, int]]
) -> None:
    window, clock, latest, admitted = Window(), START, 0, []
    for step, late, cost in takes:
        clock += step
        if take(window, limit, cost, clock - late) and cost:
            # Admitted between its reading of the clock and now, and after all that came before it.
            latest = max(latest, clock - late)
            admitted.append((latest, cost))
    assert most_in_any_window(admitted, limit) <= limit.limit


@given(logs, takes)
def test_up_to_a_thousand_units_nothing_that_fits_is_refused(
    limit: Limit, takes: list[tuple[int, int]]
) -> None:
    window, now, admitted = Window(), START, []
    for step, cost in takes:
        now += step
        fits = most_in_any_window([*admitted, (now, cost)], limit) <= limit.limit
        assert take(window, limit, cost, now) == (fits or cost == 0)
        if fits:
            admitted.append((now, cost))


@given(slices, takes)
def test_above_that_a_unit_counts_at_most_a_hundredth_longer(
    limit: Limit, takes: list[tuple[int, int]]
) -> None:
    window, now, admitted = Window(), START, []
    # A window that is a hundredth longer, in whole seconds: all times are a hundredfold.
    longer = Limit("longer", limit.limit, limit.window_seconds * 101)
    for step, cost in takes:
        now += step
        fits = most_in_any_window([*admitted, (now * 100, cost)], longer) <= limit.limit
        taken = take(window, limit, cost, now)
        assert taken or not fits
        if taken:
            admitted.append((now * 100, cost))


@given(limits, takes, st.integers(1, 1_000))
def test_the_wait_is_long_enough_and_not_a_second_longer(
    limit: Limit, takes: list[tuple[int, int]], cost: int
) -> None:
    window, now = Window(), START
    for step, units in takes:
        now += step
        take(window, limit, units, now)
    wait = window.wait(limit, cost, now)
    if cost > limit.limit:
        assert wait == limit.window_seconds
    elif wait:
        assert window.wait(limit, cost, now + wait * TICKS) == 0
        assert window.wait(limit, cost, now + (wait - 1) * TICKS) > 0


@given(limits, takes)
def test_the_rate_says_what_is_left_and_when_the_oldest_unit_leaves(
    limit: Limit, takes: list[tuple[int, int]]
) -> None:
    window, now = Window(), START
    for step, cost in takes:
        now += step
        take(window, limit, cost, now)
    rate = window.rate(limit, now)
    reset = ticks(rate.reset_at)
    assert (rate.name, rate.limit, rate.window_seconds) == (
        limit.name,
        limit.limit,
        limit.window_seconds,
    )
    assert rate.remaining == limit.limit - window.used(limit, now)
    assert now <= reset <= now + limit.window_seconds * TICKS * 1.01
    if window.used(limit, now):
        assert window.used(limit, reset) < window.used(limit, reset - 1) == window.used(limit, now)


def test_an_unused_limit_resets_now() -> None:
    limit = Limit("fresh", 10, 60)
    rate = Window().rate(limit, ticks(1_700_000_000.5))
    assert (rate.remaining, rate.reset_at) == (10, 1_700_000_000.5)


def test_a_burst_at_the_edge_of_a_window_is_not_admitted_twice() -> None:
    limit = Limit("burst", 10, 60)
    window = filled(limit, (START + 59 * TICKS, 10))
    assert window.wait(limit, 1, START + 61 * TICKS) == 58
    assert window.wait(limit, 10, START + 119 * TICKS) == 0


def test_a_cost_beyond_the_limit_never_fits() -> None:
    limit = Limit("small", 5, 60)
    assert Window().wait(limit, 6, START) == 60


def test_a_cost_of_nothing_fits_even_when_nothing_is_left() -> None:
    limit = Limit("full", 5, 60)
    assert filled(limit, (START, 5)).wait(limit, 0, START) == 0


def test_a_limit_that_was_lowered_counts_what_was_admitted_before() -> None:
    window = filled(Limit("wide", 100, 60), (START, 50), (START + TICKS, 50))
    lowered = Limit("wide", 60, 60)
    assert window.rate(lowered, START + TICKS).remaining == 0
    assert window.wait(lowered, 10, START + TICKS) == 59
    assert window.wait(lowered, 20, START + TICKS) == 60


@pytest.mark.parametrize(("before", "after"), [(900, 2_000), (2_000, 900)])
def test_a_limit_may_cross_the_border_of_a_thousand_units(before: int, after: int) -> None:
    old, new = Limit("l", before, 60), Limit("l", after, 60)
    window = filled(old, *((START + second * TICKS, 10) for second in range(50)))
    now = START + 50 * TICKS
    window.charge(new, 10, now)
    assert window.used(new, now) == 510
    assert window.used(new, now + 61 * TICKS) == 0


def test_counting_beyond_the_limit_keeps_the_newest_units() -> None:
    limit = Limit("failures", 10, 60)
    window = filled(limit, (START, 8), (START + 10 * TICKS, 3), (START + 20 * TICKS, 4))
    now = START + 20 * TICKS
    assert window.used(limit, now) == 10
    # 3 of the oldest 8 are left, then 3, then 4.
    assert [window.wait(limit, cost, now) for cost in (3, 4, 6, 7)] == [40, 50, 50, 60]


def test_a_flood_beyond_the_limit_takes_no_more_room() -> None:
    limit = Limit("failures", 30, 60)
    window = filled(limit, *((START + at, 20_000) for at in range(1_000)))
    assert window.used(limit, START + 1_000) == 30
    assert len(window.dump()) < 100


@pytest.mark.parametrize("most", [1_000, 1_000_000])
def test_a_window_needs_bounded_room(most: int) -> None:
    limit = Limit("l", most, 60)
    window = Window()
    for at in range(0, 600 * TICKS, TICKS // 20):
        take(window, limit, 1, START + at)
    assert len(window.dump()) <= 8 * 1_000 + 1


def test_a_year_ahead_is_corrected_without_a_year_of_refusals() -> None:
    limit, year = Limit("l", 5, 60), 365 * 86_400 * TICKS
    window = filled(limit, (START + year, 4), (START + year + 1, 1))
    assert window.wait(limit, 1, START) == 120
    assert window.wait(limit, 5, START + 120 * TICKS) == 0


@given(limits, takes, costs.filter(bool))
def test_giving_back_restores_what_was_before(limit: Limit, takes: list[tuple[int, int]], cost: int) -> None:
    window, now = Window(), START
    for step, units in takes:
        now += step
        take(window, limit, units, now)
    before = [window.used(limit, now + second * TICKS) for second in range(100)]
    if take(window, limit, cost, now):
        window.give_back(limit, cost, now)
    assert [window.used(limit, now + second * TICKS) for second in range(100)] == before


@given(limits, st.lists(st.tuples(steps, costs, st.booleans()), max_size=30), st.integers(0, 10 * TICKS))
def test_what_was_given_back_never_lets_others_units_leave_early(
    limit: Limit, takes: list[tuple[int, int, bool]], later: int
) -> None:
    window, now, admitted, to_return = Window(), START, [], []
    for step, cost, returned in takes:
        now += step
        while to_return and to_return[0][0] + later <= now:
            at, units = to_return.pop(0)
            window.give_back(limit, units, at)
        if take(window, limit, cost, now):
            (to_return if returned else admitted).append((now, cost))
    assert most_in_any_window(admitted, limit) <= limit.limit


def test_giving_back_leaves_what_others_took_since() -> None:
    limit = Limit("l", 9, 60)
    window = filled(limit, (START, 2), (START + 1, 3), (START + 2, 4))
    window.give_back(limit, 3, START + 1)
    used = [window.used(limit, START + 60 * TICKS + later) for later in (-1, 0, 1, 2)]
    assert used == [6, 4, 4, 0]


def test_what_an_entry_lacks_is_given_back_from_the_ones_just_before_it() -> None:
    limit = Limit("l", 20, 60)
    window = filled(limit, (START, 1), (START + 1, 2), (START + 2, 3), (START + 3, 1))
    window.give_back(limit, 4, START + 2)
    used = [window.used(limit, START + 60 * TICKS + later) for later in (-1, 0, 1, 2, 3)]
    assert used == [3, 2, 1, 1, 0]
    window.give_back(limit, 2, START + 2)
    assert [window.used(limit, START + 60 * TICKS + later) for later in (-1, 0, 3)] == [1, 1, 0]


def test_units_are_given_back_although_the_caller_was_late() -> None:
    limit = Limit("l", 5, 60)
    window = filled(limit, (START + 10, 1), (START, 3))
    window.give_back(limit, 3, START)
    assert window.used(limit, START + 10) == 1


def test_units_that_have_left_cannot_be_given_back() -> None:
    limit = Limit("l", 5, 60)
    window = filled(limit, (START, 3), (START + 60 * TICKS, 4))
    window.give_back(limit, 3, START)
    assert window.used(limit, START + 60 * TICKS) == 4


def test_nothing_is_given_back_to_an_empty_window() -> None:
    limit, window = Limit("l", 5, 60), Window()
    window.give_back(limit, 3, START)
    assert window.is_empty
    assert window.leaves_at(limit) == 0


def test_no_more_is_given_back_than_there_is() -> None:
    limit = Limit("l", 5, 60)
    window = filled(limit, (START, 2))
    window.give_back(limit, 9, START)
    assert window.is_empty


@given(limits, takes)
def test_a_window_is_the_same_after_it_was_stored(limit: Limit, takes: list[tuple[int, int]]) -> None:
    window, now = Window(), START
    for step, cost in takes:
        now += step
        take(window, limit, cost, now)
    loaded = Window.load(window.dump())
    assert loaded.dump() == window.dump()
    for later in range(now, now + 100 * TICKS, TICKS):
        assert loaded.rate(limit, later) == window.rate(limit, later)
        assert loaded.wait(limit, 1, later) == window.wait(limit, 1, later)
    loaded.charge(limit, 1, now)
    window.charge(limit, 1, now)
    assert loaded.rate(limit, now) == window.rate(limit, now)


def test_a_stored_single_unit_takes_eight_bytes() -> None:
    limit = Limit("l", 1_000, 3_600)
    window = filled(limit, *((START + at * TICKS, 1) for at in range(1_000)))
    assert len(window.dump()) == 8_001


def test_a_thousand_single_units_are_loaded() -> None:
    limit = Limit("l", 1_000, 3_600)
    window = filled(limit, *((START + at * TICKS, 1) for at in range(1_000)))
    assert Window.load(window.dump()).rate(limit, START).remaining == 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_entry_that_is_given_back_whole_leaves_nothing(place: int) -> None:
    limit = Limit("l", 10, 60)
    charges = [(START, 3), (START + 5 * TICKS, 2), (START + 9 * TICKS, 1)]
    window = filled(limit, *charges)
    at, cost = charges.pop(place)
    window.give_back(limit, cost, at)
    assert window.dump() == filled(limit, *charges).dump()


def test_what_is_brought_down_after_a_clock_ran_ahead_takes_no_more_room() -> None:
    limit = Limit("l", 10, 3600)
    ahead = LATE_TICKS + 3 * TICKS
    window = filled(limit, (START, 1), (START + ahead, 1), (START + ahead + TICKS, 1))
    assert window.rate(limit, START + TICKS).remaining == 7
    assert len(window.dump()) == len(filled(limit, *((START + at, 1) for at in range(3))).dump())


@pytest.mark.parametrize(
    "state", [b"", b"x", b"1short", b"n", b"n" + bytes(16), b"1" + bytes(8 * 1_001), b"?" + bytes(8)]
)
def test_what_is_no_window_is_not_loaded(state: bytes) -> None:
    with pytest.raises(ValueError):
        Window.load(state)


def test_the_last_unit_tells_when_all_have_left() -> None:
    limit = Limit("l", 5, 60)
    window = filled(limit, (START, 2), (START + 5, 1))
    assert window.leaves_at(limit) == START + 5 + 60 * TICKS
    assert not window.is_empty
