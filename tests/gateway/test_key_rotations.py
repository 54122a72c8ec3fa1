"""Rotations of our own keys: an old secret that is still used, and its end, are told once by all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from engine_bed import OPERATOR
from gateway.rotation_bed import RotationBed, happened_at, lines, rotating

HOUR, DAY = 3600.0, 24 * 3600.0
USED, EXPIRED = "rotation.old_key_used", "rotation.grace_expired"


@pytest.fixture(params=["memory", "sqlite"])
def bed(request: pytest.FixtureRequest) -> Iterator[RotationBed]:
    with rotating(request.param) as made:
        yield made


def told(*processes: RotationBed) -> dict[str, int]:
    """What these have told once each has looked, twice."""
    found: dict[str, int] = {}
    for one in (*processes, *processes):
        one.verifier.notebook.flush(one.stores.journal)
        one.work()
    for one in processes:
        for kind, times in one.told.items():
            found[kind] = found.get(kind, 0) + times
    return {kind: times for kind, times in found.items() if kind in (USED, EXPIRED)}


@pytest.mark.spec("UG-30")
def test_an_old_secret_is_told_of_once_an_hour_and_its_end_once(
    bed: RotationBed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    processes = bed, bed.other()
    minted, old = bed.bed.mint("a:b")
    assert bed.bed.verdict(old) == "ok"
    bed.passes(1)
    new = str(bed.bed.issuer.rotate(minted.key.id, by=OPERATOR).secret)
    bed.passes(1)
    assert bed.bed.verdict(new) == "ok"
    assert told(*processes) == {}
    assert bed.bed.verdict(old) == "ok"
    assert told(*processes) == {USED: 1}
    bed.passes(HOUR / 2)
    assert bed.bed.verdict(old) == "ok"
    assert told(*processes) == {USED: 1}
    bed.passes(HOUR)
    assert bed.bed.verdict(old) == "ok"
    assert told(*processes) == {USED: 2}
    bed.passes(DAY)
    assert bed.bed.verdict(old) == "retired"
    assert told(*processes) == {USED: 2, EXPIRED: 1}
    assert bed.stores.gateway.outbox.reminders() == []
    bed.passes(days=9)
    assert told(*processes) == {USED: 2, EXPIRED: 1}
    (line,) = lines(caplog.records, EXPIRED)
    assert line.__dict__["signal"]["subject"] == minted.key.id
    assert line.__dict__["signal"]["version"] == 1


@pytest.mark.spec("UG-30")
def test_the_last_use_before_the_end_is_told_together_with_it(
    bed: RotationBed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    minted, old = bed.bed.mint("a:b")
    bed.bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    bed.work()
    bed.passes(HOUR - 1)
    assert bed.bed.verdict(old) == "ok"
    bed.passes(2)
    assert told(bed) == {USED: 1, EXPIRED: 1}
    at = happened_at(caplog.records)
    assert (at[USED], at[EXPIRED]) == ("2027-01-15T08:59:59Z", "2027-01-15T09:00:00Z")


def test_grace_that_was_ended_by_somebody_has_not_expired(bed: RotationBed) -> None:
    minted, _ = bed.bed.mint("a:b")
    bed.bed.issuer.rotate(minted.key.id, by=OPERATOR)
    bed.work()
    assert [one.id for one in bed.stores.gateway.outbox.reminders()] == [minted.key.id]
    bed.bed.issuer.promote(minted.key.id, by=OPERATOR)
    assert told(bed) == {}
    assert bed.stores.gateway.outbox.reminders() == []
    bed.passes(days=2)
    assert told(bed) == {}


def test_the_end_of_an_earlier_rotation_is_not_told_for_a_later_one(bed: RotationBed) -> None:
    minted, _ = bed.bed.mint("a:b")
    bed.bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    assert told(bed) == {}
    bed.passes(hours=2)
    assert told(bed) == {EXPIRED: 1}
    bed.stores.gateway.outbox.forget(bed.bed.clock.now + 1)
    bed.bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(hours=1))
    assert told(bed.other()) == {}
    bed.passes(hours=2)
    assert told(bed.other()) == {EXPIRED: 1}
