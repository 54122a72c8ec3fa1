"""Each event of a rotation and each alert is told exactly once, by four processes that all look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from engine_bed import OPERATOR, opened
from gateway.rotation_bed import FIELDS, GROUP, RotationBed, happened_at, lines, rotating

HOUR, DAY = 3600.0, 24 * 3600.0


class Processes:
    """Four processes on one store, and what all of them have told."""

    def __init__(self, first: RotationBed):
        self.first = first
        self.all = [first, first.other(), first.other(), first.other()]

    def work(self) -> dict[str, int]:
        """Have each of them do its chores, twice; returns what was told until now."""
        for one in (*self.all, *reversed(self.all)):
            one.work()
        told: dict[str, int] = {}
        for one in self.all:
            for kind, times in one.told.items():
                told[kind] = told.get(kind, 0) + times
        return told


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[RotationBed]:
    with rotating(request.param) as made:
        yield made


@pytest.fixture
def processes(bed: RotationBed) -> Processes:
    return Processes(bed)


def use_new(bed: RotationBed) -> None:
    """The upstream knows the new key, so there is nothing to say about that."""
    bed.send(2)


@pytest.mark.spec("UG-30")
def test_a_planned_rotation_is_told_from_start_to_clean_up(
    bed: RotationBed, processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bed.rotate()
    use_new(bed)
    told = processes.work()
    assert told == {"rotation.started": 1}
    (line,) = lines(caplog.records, "rotation.started")
    said = line.__dict__["signal"]
    assert (said["tenant"], said["subject"], said["actor"]) == ("default", GROUP, "operator:tests")
    bed.send(1, times=3)
    told = processes.work()
    assert told == {"rotation.started": 1, "rotation.old_key_used": 1}
    bed.passes(DAY)
    told = processes.work()
    assert told == {"rotation.started": 1, "rotation.old_key_used": 1, "rotation.grace_expired": 1}
    bed.passes(60)
    told = processes.work()
    assert told == {
        "rotation.started": 1,
        "rotation.old_key_used": 1,
        "rotation.grace_expired": 1,
        "rotation.cleaned_up": 1,
    }
    bed.passes(days=8)
    assert processes.work() == told


@pytest.mark.spec("UG-30")
def test_promote_abort_and_undo_are_told_as_named(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    bed.upstreams.promote(GROUP, by=OPERATOR)
    bed.upstreams.undo(GROUP, by=OPERATOR)
    bed.upstreams.abort(GROUP, by=OPERATOR)
    assert processes.work() == {
        "rotation.started": 1,
        "rotation.promoted": 1,
        "rotation.undone": 1,
        "rotation.aborted": 1,
    }


@pytest.mark.spec("UG-30")
def test_rotations_of_inbound_keys_are_told_as_well(
    bed: RotationBed, processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    minted, _ = bed.bed.mint("a:b")
    bed.bed.issuer.rotate(minted.key.id, by=OPERATOR)
    bed.bed.issuer.promote(minted.key.id, by=OPERATOR)
    bed.bed.issuer.undo(minted.key.id, by=OPERATOR)
    bed.bed.issuer.abort(minted.key.id, by=OPERATOR)
    assert processes.work() == {
        "rotation.started": 1,
        "rotation.promoted": 1,
        "rotation.undone": 1,
        "rotation.aborted": 1,
    }
    (line,) = lines(caplog.records, "rotation.started")
    assert line.__dict__["signal"]["subject"] == minted.key.id


@pytest.mark.spec("UG-30")
def test_an_old_key_is_told_of_once_in_each_hour_of_grace(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    use_new(bed)
    for hour in range(3):
        bed.send(1, times=2)
        assert processes.work()["rotation.old_key_used"] == hour + 1
        bed.passes(HOUR / 2)
        bed.send(1)
        assert processes.work()["rotation.old_key_used"] == hour + 1
        bed.passes(HOUR / 2)


def test_a_use_before_the_rotation_is_none_of_an_old_key(bed: RotationBed, processes: Processes) -> None:
    bed.send(1)
    bed.passes(60)
    bed.rotate()
    use_new(bed)
    bed.passes(0.9 * DAY)
    assert processes.work() == {"rotation.started": 1}


def test_what_happened_while_nobody_looked_is_told_by_who_comes_next(bed: RotationBed) -> None:
    bed.work()
    bed.rotate()
    bed.upstreams.promote(GROUP, by=OPERATOR)
    later = bed.other()
    later.work()
    assert later.told == {"rotation.started": 1, "rotation.promoted": 1}


@pytest.mark.spec("UG-30")
def test_what_is_told_late_says_when_it_happened(bed: RotationBed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bed.work()
    bed.rotate()
    bed.passes(DAY - 60)
    bed.send(1)
    bed.tally.flush()
    bed.passes(DAY)
    bed.other().work()
    assert happened_at(caplog.records) == {
        "rotation.started": "2027-01-15T08:00:00Z",
        "rotation.old_key_used": "2027-01-16T07:59:00Z",
        "alert.old_key_late_use": "2027-01-16T07:59:00Z",
        "rotation.grace_expired": "2027-01-16T08:00:00Z",
        "alert.rotation_not_cleaned": "2027-01-17T07:59:00Z",
    }


def test_what_happened_before_anybody_ever_looked_is_not_told() -> None:
    with opened() as engine:
        bed = RotationBed(engine)
        bed.upstreams.create(FIELDS, by=OPERATOR)
        bed.rotate()
        bed.upstreams.promote(GROUP, by=OPERATOR)
        bed.work()
        assert bed.told == {}
        bed.rotate()
        bed.work()
        assert bed.told == {"rotation.started": 1}


def test_a_store_that_came_back_from_a_backup_tells_what_happens_next(bed: RotationBed) -> None:
    bed.stores.gateway.outbox.tell_to(10**6)
    later = bed.other()
    later.work()
    bed.rotate()
    later.work()
    assert later.told == {"rotation.started": 1}


@pytest.mark.spec("UG-31")
def test_an_old_key_that_is_used_late_is_an_alert(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    use_new(bed)
    bed.passes(0.8 * DAY)
    bed.send(1)
    assert "alert.old_key_late_use" not in processes.work()
    bed.passes(1)
    bed.send(1)
    assert processes.work()["alert.old_key_late_use"] == 1
    bed.passes(HOUR)
    bed.send(1)
    assert processes.work()["alert.old_key_late_use"] == 1


@pytest.mark.spec("UG-31")
def test_the_last_use_before_the_end_is_told_although_grace_is_over(
    bed: RotationBed, processes: Processes
) -> None:
    bed.rotate()
    use_new(bed)
    bed.passes(DAY - 1)
    bed.send(1)
    bed.passes(1)
    told = processes.work()
    assert (told["alert.old_key_late_use"], told["rotation.grace_expired"]) == (1, 1)


@pytest.mark.spec("UG-31")
def test_an_old_key_whose_use_does_not_fall_is_an_alert(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    use_new(bed)
    bed.send(1, times=5)
    bed.passes(11 * HOUR)
    bed.send(1, times=5)
    assert "alert.old_key_not_falling" not in processes.work()
    bed.passes(HOUR)
    assert processes.work()["alert.old_key_not_falling"] == 1
    bed.send(1, times=9)
    bed.passes(HOUR)
    assert processes.work()["alert.old_key_not_falling"] == 1


@pytest.mark.spec("UG-31")
def test_an_old_key_whose_use_falls_is_none(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    use_new(bed)
    bed.send(1, times=5)
    for _ in range(23):
        bed.passes(HOUR)
        bed.send(1, times=4)
        assert "alert.old_key_not_falling" not in processes.work()


@pytest.mark.spec("UG-31")
def test_an_old_key_that_nobody_uses_is_none(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    use_new(bed)
    for _ in range(3):
        bed.passes(0.3 * DAY)
        assert "alert.old_key_not_falling" not in processes.work()


@pytest.mark.spec("UG-31")
def test_in_the_first_hour_nothing_is_said_of_falling(bed: RotationBed, processes: Processes) -> None:
    bed.rotate(plan="emergency")
    use_new(bed)
    bed.send(1, times=5)
    bed.passes(0.7 * HOUR)
    assert "alert.old_key_not_falling" not in processes.work()


@pytest.mark.spec("UG-31")
def test_a_new_key_without_success_is_an_alert_at_half_of_grace_and_late_in_it(
    bed: RotationBed, processes: Processes
) -> None:
    bed.rotate()
    bed.send(2, accepted=False)
    bed.passes(DAY / 2 - 1)
    assert "alert.new_key_refused" not in processes.work()
    bed.passes(1)
    assert processes.work()["alert.new_key_refused"] == 1
    bed.passes(0.3 * DAY - 1)
    assert processes.work()["alert.new_key_refused"] == 1
    bed.passes(1)
    assert processes.work()["alert.new_key_refused"] == 2
    bed.passes(HOUR)
    assert processes.work()["alert.new_key_refused"] == 2


@pytest.mark.spec("UG-31")
def test_a_new_key_that_was_accepted_is_none(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    bed.passes(HOUR)
    bed.send(2)
    bed.send(2, accepted=False, times=9)
    bed.passes(0.9 * DAY)
    assert "alert.new_key_refused" not in processes.work()


@pytest.mark.spec("UG-31")
def test_a_rotation_that_nobody_cleans_up_is_an_alert_and_again_after_a_week(bed: RotationBed) -> None:
    bed.rotate()
    use_new(bed)
    bed.work()
    bed.passes(DAY)
    for passed, times in ((599, 0), (1, 1), (DAY, 1), (6 * DAY - 601, 1), (1, 2), (9 * DAY, 2)):
        bed.passes(passed)
        bed.chores.judge()
        bed.monitoring.signals.flush()
        assert bed.told.get("alert.rotation_not_cleaned", 0) == times


@pytest.mark.spec("UG-17")
def test_a_rotation_is_cleaned_up_within_a_minute_of_its_end(bed: RotationBed, processes: Processes) -> None:
    bed.rotate()
    bed.passes(DAY + 60)
    assert processes.work()["rotation.cleaned_up"] == 1
    assert bed.upstream.rollout is None
    assert bed.upstream.cleaned_up_at == datetime.fromtimestamp(bed.bed.clock.now, UTC)


@pytest.mark.spec("UG-32")
def test_the_hours_of_a_rotation_are_kept_a_month_beyond_any_grace(bed: RotationBed) -> None:
    bed.rotate(grace_seconds=int(timedelta(days=7).total_seconds()))
    bed.send(1)
    bed.passes(days=7)
    bed.work()
    assert [hour.uses for hour in bed.stores.gateway.sends.hours([f"default/{GROUP}"])] == [1]
    bed.passes(days=40)
    bed.work()
    assert bed.stores.gateway.sends.hours([f"default/{GROUP}"]) == []
