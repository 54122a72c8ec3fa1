"""What was sent is counted once, by version and by hour of a rotation, and known to every process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from engine_bed import OPERATOR
from gateway.rotation_bed import GROUP, RotationBed, rotating

from keyrack.core.errors import Unavailable
from keyrack.gateway.monitoring.tally import Tally
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.sends import HourUse, MemorySends, Refuser, VersionUse

ID = f"default/{GROUP}"


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[RotationBed]:
    with rotating(request.param) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[RotationBed]:
    with rotating() as made:
        yield made


@pytest.mark.spec("UG-19")
def test_each_version_has_its_uses_refusals_and_times(bed: RotationBed) -> None:
    begun = bed.bed.clock.now
    bed.send(1)
    bed.rotate()
    bed.passes(60)
    bed.send(2, accepted=False, key_id="k")
    bed.passes(60)
    bed.send(2)
    bed.send(2, accepted=None)
    bed.tally.flush()
    found = bed.tally.use_of(bed.upstream).versions
    assert found[1] == VersionUse(ID, 1, 1, 0, 0, begun, begun, begun, None)
    assert found[2] == VersionUse(ID, 2, 3, 1, 1, begun + 60, begun + 120, begun + 120, begun + 60)


@pytest.mark.spec("UG-32")
def test_requests_during_grace_are_counted_by_version_outcome_and_hour(bed: RotationBed) -> None:
    bed.send(1)
    bed.rotate()
    started = bed.bed.clock.now
    bed.passes(3599)
    bed.send(1, times=2)
    bed.send(2, accepted=False)
    bed.send(1, fallback="to_old")
    bed.passes(1)
    bed.send(2, fallback="to_new")
    bed.send(2, accepted=None, fallback="not_replayed")
    bed.tally.flush()
    assert bed.tally.use_of(bed.upstream).hours == [
        HourUse(ID, 1, started, 3, 3, 0, 1, 0),
        HourUse(ID, 2, started, 1, 0, 1, 0, 0),
        HourUse(ID, 2, started + 3600, 2, 1, 0, 1, 1),
    ]
    assert bed.tally.totals == {
        ("default", GROUP, "1", "accepted"): 3,
        ("default", GROUP, "2", "refused"): 1,
        ("default", GROUP, "1", "fallback_to_old"): 1,
        ("default", GROUP, "2", "fallback_to_new"): 1,
        ("default", GROUP, "2", "not_replayed"): 1,
    }


def test_the_hours_of_an_earlier_rotation_are_not_shown_again(bed: RotationBed) -> None:
    bed.rotate()
    bed.send(2)
    bed.passes(60)
    bed.upstreams.promote(GROUP, by=OPERATOR)
    bed.rotate()
    bed.send(3)
    bed.tally.flush()
    use = bed.tally.use_of(bed.upstream)
    assert [hour.number for hour in use.hours] == [3]
    assert set(use.versions) == {2, 3}


def test_a_send_by_a_clock_that_is_behind_counts_in_the_first_hour(memory: RotationBed) -> None:
    memory.rotate()
    started = memory.bed.clock.now
    memory.passes(-1)
    memory.send(2)
    memory.tally.flush()
    assert [hour.hour_at for hour in memory.tally.use_of(memory.upstream).hours] == [started]


@pytest.mark.spec("UG-48")
def test_what_one_process_sends_another_knows(bed: RotationBed) -> None:
    other = bed.other()
    bed.rotate()
    upstream = bed.upstream
    assert not other.tally.accepted_new(upstream)
    assert other.tally.latest_success(ID) is None
    bed.send(1)
    bed.passes(1)
    bed.send(2)
    assert bed.tally.accepted_new(upstream)
    bed.tally.flush()
    other.work()
    assert other.tally.accepted_new(upstream)
    assert other.tally.latest_success(ID) == 2
    assert other.tally.latest_success(ID, among=[1]) == 1
    assert other.tally.latest_success(ID, among=[3]) is None
    assert other.tally.latest_success("default/other") is None


@pytest.mark.spec("UG-48")
def test_four_processes_count_together(bed: RotationBed) -> None:
    bed.rotate()
    processes = [bed, bed.other(), bed.other(), bed.other()]
    for turn, one in enumerate(processes):
        one.send(2, accepted=False, times=5, key_id=f"key-{turn}")
    for one in processes:
        one.tally.flush()
    use = bed.tally.use_of(bed.upstream).versions[2]
    assert (use.uses, use.refusals, use.leading) == (20, 20, 20)
    assert bed.stores.gateway.sends.refusers(ID, 2) == 4
    assert [hour.refused for hour in bed.tally.use_of(bed.upstream).hours] == [20]


def test_a_success_is_known_here_at_once(memory: RotationBed) -> None:
    memory.rotate()
    memory.send(2)
    assert memory.tally.accepted_new(memory.upstream)
    assert memory.tally.latest_success(ID) == 2
    memory.work()
    assert memory.tally.accepted_new(memory.upstream)
    assert memory.tally.latest_success(ID) == 2


def test_a_refusal_is_no_success(memory: RotationBed) -> None:
    memory.rotate()
    memory.send(2, accepted=False)
    memory.send(2, accepted=None)
    memory.work()
    assert not memory.tally.accepted_new(memory.upstream)
    assert memory.tally.latest_success(ID) is None


def test_only_the_first_refusals_are_kept_with_whose_they_were(memory: RotationBed) -> None:
    memory.rotate()
    memory.send(2, accepted=False, key_id="a")
    memory.send(2, accepted=False, owner="somebody")
    memory.send(2, accepted=False)
    memory.send(2, accepted=True, key_id="b")
    memory.send(2, accepted=False, key_id="c")
    memory.tally.flush()
    assert memory.stores.gateway.sends.refusers(ID, 2) == 2


class FailingSends(MemorySends):
    """A store that cannot be written for a while."""

    fails = True

    def add(self, uses: Sequence[VersionUse], hours: Sequence[HourUse], refusers: Sequence[Refuser]) -> None:
        if self.fails:
            raise Unavailable("away")
        super().add(uses, hours, refusers)


def test_what_could_not_be_written_is_written_later_and_once(memory: RotationBed) -> None:
    sends = FailingSends()
    tally = Tally(replace(memory.stores, gateway=GatewayState(sends=sends)))
    tally.sent(memory.upstream, 1, accepted=True)
    with pytest.raises(Unavailable):
        tally.flush()
    tally.sent(memory.upstream, 1, accepted=True)
    sends.fails = False
    tally.flush()
    tally.flush()
    assert tally.use_of(memory.upstream).versions[1].uses == 2
    assert tally.totals["default", GROUP, "1", "accepted"] == 2
