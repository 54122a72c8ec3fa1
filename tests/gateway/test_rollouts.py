"""A new version comes in by steps that are due, and goes back when the upstream does not know it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from engine_bed import OPERATOR
from gateway.rotation_bed import GROUP, RotationBed, rotating

from keyrack.core.events import EventKind
from keyrack.core.upstream import Rollout, SendPolicy
from keyrack.gateway.monitoring.rollouts import Rollouts
from keyrack.testing.samples import at_once

DAY = 24 * 3600.0
CHANGED = EventKind.UPSTREAM_ROTATION_CHANGED


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[RotationBed]:
    with rotating(request.param) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[RotationBed]:
    with rotating() as made:
        yield made


def rollout(bed: RotationBed) -> Rollout:
    found = bed.upstream.rollout
    assert found is not None
    return found


def refuse(bed: RotationBed, times: int = 20, *, callers: int = 3, version: int = 2) -> None:
    """Have the upstream refuse a version to so many callers in turn."""
    for turn in range(times):
        bed.send(version, accepted=False, key_id=f"key-{turn % callers}")


@pytest.mark.spec("UG-22")
def test_the_gradual_plan_steps_by_its_days(bed: RotationBed) -> None:
    bed.rotate(plan="gradual")
    shares = []
    for days in (0, 0.9, 0.1, 1.9, 0.1, 1.9, 0.1, 1.0):
        bed.passes(days=days)
        bed.work()
        shares.append(rollout(bed).percent)
    assert shares == [1, 1, 25, 25, 50, 50, 100, 100]
    assert bed.events(CHANGED) == [CHANGED] * 3


@pytest.mark.spec("UG-22")
def test_a_step_waits_while_the_new_version_was_refused_in_the_last_hour(bed: RotationBed) -> None:
    bed.rotate(plan="gradual")
    bed.send(2)
    bed.passes(DAY - 60)
    bed.send(2, accepted=False)
    bed.passes(60)
    bed.work()
    assert rollout(bed).percent == 1
    bed.passes(3539)
    bed.work()
    assert rollout(bed).percent == 1
    bed.passes(1)
    bed.work()
    assert rollout(bed).percent == 25


@pytest.mark.spec("UG-22")
def test_a_share_that_an_operator_states_stands_until_the_next_step(memory: RotationBed) -> None:
    memory.rotate(plan="gradual")
    state = partial(memory.upstreams.change_rotation, GROUP, by=OPERATOR)
    memory.passes(days=1)
    memory.work()
    memory.passes(3600)
    state({"rollout_percent": 1})
    memory.passes(3600)
    memory.work()
    assert rollout(memory).percent == 1
    memory.passes(days=2)
    memory.work()
    assert rollout(memory).percent == 50
    state({"rollout_percent": 100})
    memory.passes(3600)
    memory.work()
    assert rollout(memory).percent == 100


@pytest.mark.spec("UG-22")
def test_a_step_is_taken_once_by_all_processes(bed: RotationBed) -> None:
    bed.rotate(plan="gradual")
    bed.passes(days=1)
    processes = [bed, bed.other(), bed.other(), bed.other()]
    bed.verifier.follower.poll()
    at_once([one.chores.move_on for one in processes])
    assert rollout(bed).percent == 25
    assert bed.events(CHANGED) == [CHANGED]


@pytest.mark.spec("UG-22")
def test_other_plans_take_no_steps(memory: RotationBed) -> None:
    memory.rotate(plan="planned")
    memory.passes(0.9 * DAY)
    memory.work()
    assert rollout(memory).percent is None
    assert memory.events(CHANGED) == []


@pytest.mark.spec("UG-22")
@pytest.mark.spec("UG-31")
def test_a_new_version_that_is_refused_from_the_first_is_held_back_with_an_alert(bed: RotationBed) -> None:
    bed.rotate()
    refuse(bed, 19)
    bed.work()
    assert rollout(bed).policy is None
    refuse(bed, 1)
    processes = [bed, bed.other(), bed.other(), bed.other()]
    for one in (*processes, *processes):
        one.work()
    held = rollout(bed)
    assert (held.policy, held.percent, held.plan.value) == (SendPolicy.HOLD_OLD, None, "planned")
    assert bed.events(CHANGED) == [CHANGED]
    assert sum(one.told.get("alert.new_key_refused", 0) for one in processes) == 1


@pytest.mark.spec("UG-22")
def test_one_send_that_was_not_refused_keeps_a_version(memory: RotationBed) -> None:
    memory.rotate()
    refuse(memory, 10)
    memory.send(2, accepted=None)
    refuse(memory, 40)
    memory.work()
    assert rollout(memory).policy is None
    assert "alert.new_key_refused" not in memory.told


@pytest.mark.spec("UG-22")
def test_refusals_of_one_or_two_callers_keep_a_version(memory: RotationBed) -> None:
    memory.rotate()
    refuse(memory, 40, callers=2)
    memory.work()
    assert rollout(memory).policy is None
    refuse(memory, 1, callers=1)
    memory.send(2, accepted=False, owner="a third one")
    memory.work()
    assert rollout(memory).policy is SendPolicy.HOLD_OLD


@pytest.mark.spec("UG-21")
@pytest.mark.spec("UG-22")
def test_in_an_emergency_the_old_version_is_never_held_but_there_is_an_alert(memory: RotationBed) -> None:
    memory.rotate(plan="emergency")
    refuse(memory)
    memory.work()
    memory.work()
    assert (rollout(memory).policy, rollout(memory).percent) == (SendPolicy.PREFER_NEW, 100)
    assert memory.events(CHANGED) == []
    assert memory.told["alert.new_key_refused"] == 1


@pytest.mark.spec("UG-22")
def test_a_share_that_is_stated_after_a_version_was_held_back_stands(bed: RotationBed) -> None:
    bed.rotate()
    refuse(bed)
    bed.work()
    bed.upstreams.change_rotation(GROUP, {"rollout_percent": 25}, by=OPERATOR)
    refuse(bed)
    bed.work()
    assert (rollout(bed).policy, rollout(bed).percent) == (SendPolicy.PREFER_NEW, 25)
    assert bed.told["alert.new_key_refused"] == 1


@pytest.mark.spec("UG-22")
def test_a_gradual_plan_that_was_held_back_takes_no_step_by_itself(memory: RotationBed) -> None:
    memory.rotate(plan="gradual")
    refuse(memory)
    memory.work()
    memory.passes(days=4)
    memory.work()
    assert (rollout(memory).policy, rollout(memory).percent) == (SendPolicy.HOLD_OLD, None)


def test_whoever_holds_a_version_back_and_dies_is_spoken_for(memory: RotationBed) -> None:
    memory.rotate()
    refuse(memory)
    memory.tally.flush()
    memory.tally.refresh([memory.upstream.id])
    memory.chores.move_on()
    later = memory.other()
    later.work()
    assert later.told["alert.new_key_refused"] == 1
    memory.work()
    assert "alert.new_key_refused" not in memory.told


def test_a_version_is_held_back_once_by_processes_that_saw_it_at_the_same_time(memory: RotationBed) -> None:
    memory.rotate()
    refuse(memory)
    processes = [memory, memory.other()]
    for one in processes:
        one.chores.count()
    seen = memory.upstream
    for one in processes:
        Rollouts(one.stores, one.tally, one.monitoring.signals).advance(seen)
    assert memory.events(CHANGED) == [CHANGED]


@pytest.mark.parametrize("begin", [lambda bed: bed.passes(days=1), refuse])
def test_a_rotation_that_is_over_is_left_alone_and_the_next_one_too(
    begin: Callable[[RotationBed], None], memory: RotationBed
) -> None:
    memory.rotate(plan="gradual")
    begin(memory)
    memory.chores.count()
    seen = memory.upstream
    rollouts = Rollouts(memory.stores, memory.tally, memory.monitoring.signals)
    memory.upstreams.promote(GROUP, by=OPERATOR)
    rollouts.advance(seen)
    memory.rotate(plan="gradual")
    memory.passes(days=1)
    rollouts.advance(seen)
    assert memory.events(CHANGED) == []


def test_a_rotation_that_ran_out_and_was_not_cleaned_up_takes_no_step(memory: RotationBed) -> None:
    memory.rotate(plan="gradual")
    memory.passes(days=7)
    memory.chores.count()
    memory.chores.move_on()
    assert rollout(memory).percent == 1
    assert memory.events(CHANGED) == []
