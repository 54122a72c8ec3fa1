"""What time does to groups is written down once, with any number of processes, and sending waits for none."""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from engine_bed import OPERATOR, opened
from tidying_process import PATIENCE_SECONDS, tidy_at
from upstream_bed import DAY, GROUP, HOUR, Desks, key

from keyrack.core.events import Event, EventKind
from keyrack.core.model import VersionState
from keyrack.core.sending import candidates
from keyrack.core.upstream import SendPolicy
from keyrack.gateway.admin.tidying import tidy
from keyrack.stores.ledger import Draft

PROCESSES = 4


@pytest.mark.spec("UG-17")
def test_a_rotation_that_ran_out_is_promoted_and_cleared_once(desks: Desks) -> None:
    desks.create()
    desks.rotate(2)
    desks.bed.passes(HOUR - 1)
    assert desks.tidy() == 0
    desks.bed.passes(1)
    assert (desks.tidy(), desks.tidy()) == (1, 0)
    upstream = desks.get()
    assert (upstream.rollout, upstream.cleaned_up_at) == (None, desks.bed.at)
    assert [one.state for one in upstream.versions] == [VersionState.RETIRED, VersionState.LIVE]
    assert desks.actions() == ["created", "rotation_started", "cleaned_up"]
    assert desks.kept() == {1: key(1), 2: key(2)}


@pytest.mark.spec("UG-12")
def test_expiry_needs_nobody_to_act(quick: Desks) -> None:
    quick.create()
    upstream = quick.rotate(2)
    quick.bed.passes(HOUR)
    found = candidates(upstream, "request", default=SendPolicy.HOLD_OLD, now=quick.bed.at)
    assert [one.number for one in found] == [2]


@pytest.mark.spec("UG-18")
@pytest.mark.parametrize("ending", ["promote", "expire", "replace"])
def test_a_retired_key_is_erased_a_day_after_its_end(desks: Desks, ending: str) -> None:
    desks.create()
    if ending == "replace":
        desks.upstreams.update(GROUP, {"api_key": key(2)}, by=OPERATOR)
    else:
        desks.rotate(2)
    if ending == "promote":
        desks.upstreams.promote(GROUP, by=OPERATOR)
    if ending == "expire":
        desks.bed.passes(HOUR)
        desks.tidy()
    desks.bed.passes(DAY - 1)
    assert (desks.tidy(), sorted(desks.kept())) == (0, [1, 2])
    desks.bed.passes(1)
    assert (desks.tidy(), desks.tidy(), desks.kept()) == (1, 0, {2: key(2)})


@pytest.mark.spec("UG-18")
def test_a_key_that_was_brought_back_is_not_erased(quick: Desks) -> None:
    quick.create()
    quick.rotate(2)
    quick.upstreams.promote(GROUP, by=OPERATOR)
    quick.bed.passes(DAY - 1)
    quick.upstreams.undo(GROUP, by=OPERATOR)
    quick.bed.passes(DAY)
    quick.tidy()
    assert sorted(quick.kept()) == [1, 2]
    quick.bed.passes(DAY)
    quick.tidy()
    assert quick.kept() == {1: key(1)}


@pytest.mark.spec("UG-19")
def test_each_key_of_several_is_erased_after_its_own_end(quick: Desks) -> None:
    quick.create()
    quick.rotate(2, grace_seconds=HOUR)
    quick.rotate(3, force=True, grace_seconds=7 * DAY)
    quick.bed.passes(HOUR + DAY)
    assert (quick.tidy(), quick.kept()) == (1, {2: key(2), 3: key(3)})
    assert quick.actions()[-1] == "rotation_started"
    quick.bed.passes(8 * DAY)
    assert (quick.tidy(), quick.kept(), quick.actions()[-1]) == (1, {3: key(3)}, "cleaned_up")


def test_what_is_decided_in_memory_is_decided_again_in_the_commit(quick: Desks) -> None:
    """Somebody undid the promotion after this process had found its old key due."""
    quick.create()
    quick.rotate(2)
    quick.bed.passes(HOUR)
    replica, now = quick.bed.verifier.follower.replica, quick.bed.at
    stale = dict(replica.upstreams)
    quick.upstreams.update(GROUP, {"api_key_header": "x-api-key"}, by=OPERATOR)
    quick.rotate(3)
    replica.upstreams.update(stale)
    assert tidy(quick.bed.stores, replica, now) == 0
    assert quick.actions().count("cleaned_up") == 1


def test_a_deleted_group_has_nothing_to_be_tidied(quick: Desks) -> None:
    quick.create()
    quick.rotate(2)
    quick.upstreams.delete(GROUP, by=OPERATOR)
    quick.bed.passes(30 * DAY)
    assert quick.tidy() == 0


@pytest.mark.spec("UG-15")
@pytest.mark.parametrize("end", ["soon", "2027-01-15T09:00:00", "", 1_800_003_600])
def test_an_end_that_cannot_be_read_counts_as_passed_and_is_reported(
    quick: Desks, caplog: pytest.LogCaptureFixture, end: object
) -> None:
    quick.create()
    upstream = quick.rotate(2)
    spoil(quick, upstream.id, end)
    known = quick.bed.verifier.follower.replica.upstreams[upstream.id]
    found = candidates(known, "request", default=SendPolicy.HOLD_OLD, now=quick.bed.at)
    assert [one.number for one in found] == [2]
    with caplog.at_level(logging.ERROR, "keyrack.gateway.admin.tidying"):
        assert quick.tidy() == 1
    assert caplog.messages == [f"the end of version 1 of {upstream.id} cannot be read"]
    assert (quick.tidy(), quick.actions()[-1]) == (0, "cleaned_up")


def spoil(desks: Desks, upstream_id: str, end: object) -> None:
    """Write an end that is none, as a faulty program that has the peppers could."""

    def change(draft: Draft) -> None:
        upstream = draft.upstream(upstream_id)
        assert upstream is not None
        old, *others = upstream.versions
        spoilt = replace(old, not_after=None, unknown={"not_after": end})
        event = Event(EventKind.UPSTREAM_UPDATED, desks.bed.at, "operator:tests")
        draft.write_upstream(replace(upstream, versions=(spoilt, *others)), event)

    desks.bed.stores.ledger.commit(change)
    desks.bed.verifier.follower.poll()


@pytest.mark.spec("UG-17", "UG-48")
def test_four_processes_write_one_event_and_leave_one_key(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keyrack.db'}"
    with opened(url, folder=tmp_path) as bed:
        desks = Desks(bed)
        desks.create()
        desks.rotate(2)
        ends_at = desks.get().versions[0].not_after
        assert ends_at is not None
        times = [ends_at - timedelta(seconds=1), ends_at, ends_at + timedelta(days=1)]
        assert sum(together(url, times)) == 2
        bed.verifier.follower.poll()
        assert desks.actions() == ["created", "rotation_started", "cleaned_up"]
        assert desks.kept() == {2: key(2)}
        found = candidates(desks.get(), "request", default=SendPolicy.HOLD_OLD, now=ends_at)
        assert [one.number for one in found] == [2]


def together(url: str, times: list[datetime]) -> list[int]:
    """How much each of four processes changed, that tidied at the same instants."""
    spawned = multiprocessing.get_context("spawn")
    gate = spawned.Barrier(PROCESSES)
    told: list[int] = []
    pipes = [spawned.Pipe(duplex=False) for _ in range(PROCESSES)]
    workers = [
        spawned.Process(target=tidy_at, args=(url, times, gate, sending), daemon=True) for _, sending in pipes
    ]
    for worker in workers:
        worker.start()
    for (receiving, _), worker in zip(pipes, workers, strict=True):
        assert receiving.poll(PATIENCE_SECONDS)
        told.append(receiving.recv())
        worker.join(PATIENCE_SECONDS)
    return told
