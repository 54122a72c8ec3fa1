"""Uses are in few objects, however many processes wrote them, and are counted once whatever happens."""

from __future__ import annotations

import os
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from objects_bed import MoodyStorage

from keyrack.core.errors import Unavailable
from keyrack.stores.journal import DENIALS_KEPT_SECONDS, Use
from keyrack.stores.objects import notes, usage
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.tidying import FINAL_SECONDS, LEAST, READ_SECONDS, tidy
from keyrack.stores.objects.usage import WRITTEN_FOR_SECONDS, Usage
from keyrack.testing import FixedClock

NOW = FixedClock()()


class World:
    """A directory of notes, whose objects the test makes older."""

    def __init__(self, root: Path, now: list[float]):
        self.storage = MoodyStorage(Directory(root))
        self.root = root
        self.now = now

    def process(self) -> Usage:
        return Usage(self.storage, FixedClock())

    def used(self, times: int = 1, *, key_id: str = "k") -> None:
        """A process that used a key and ended."""
        ended = self.process()
        ended.add([Use(key_id, 1, times, NOW, NOW)])
        ended.write()

    def age(self, seconds: float) -> None:
        """Make all that is written so much older."""
        for path in (*self.paths(), *(self.root / Place.DENIALS.folder).glob("*")):
            status = path.stat()
            os.utime(path, (status.st_atime, status.st_mtime - seconds))

    def paths(self) -> list[Path]:
        return sorted((self.root / Place.USAGE.folder).iterdir())

    def merged(self) -> list[Path]:
        return [path for path in self.paths() if path.name.startswith("merged-")]

    def tidy(self) -> None:
        """As a process does that has just written something."""
        mark = path_of(Place.PROBE, "now")
        self.storage.replace(mark, b"{}")
        tidy(self.storage, mark)

    def uses(self, key_id: str = "k") -> int:
        return self.process().read([key_id])[key_id, 1].uses


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steady clock of processes, for the test to set."""
    at = [100.0]
    monkeypatch.setattr(usage, "steady", lambda: at[0])
    return at


@pytest.fixture
def world(tmp_path: Path, now: list[float]) -> World:
    return World(tmp_path, now)


def test_objects_that_nobody_writes_any_more_are_put_together(world: World) -> None:
    for times in range(LEAST):
        world.used(times + 1)
    total = sum(range(1, LEAST + 1))
    world.age(FINAL_SECONDS + 60)
    world.used(1000)
    world.tidy()
    assert len(world.merged()) == 1
    assert world.uses() == total + 1000, "counted once although all objects are there"
    world.age(READ_SECONDS + 60)
    world.tidy()
    assert len(world.paths()) == 2
    assert world.uses() == total + 1000


def test_few_objects_and_new_ones_are_left_alone(world: World) -> None:
    for _ in range(LEAST - 1):
        world.used()
    world.age(FINAL_SECONDS + 60)
    world.used()
    world.tidy()
    assert world.merged() == []


def test_the_number_of_objects_stays_bounded_over_years(world: World) -> None:
    counts = []
    for _ in range(30):
        for _ in range(7):
            world.used()
        world.age(FINAL_SECONDS + READ_SECONDS)
        world.tidy()
        counts.append(len(world.paths()))
    assert max(counts) <= 2 * LEAST + 7 + 2
    assert world.uses() == 30 * 7
    assert [path for path, later in pairwise(world.merged()) if path >= later] == []


@pytest.mark.parametrize("step", range(1, 40))
def test_whenever_tidying_is_interrupted_nothing_is_counted_twice_or_lost(world: World, step: int) -> None:
    for _ in range(2):
        for _ in range(LEAST):
            world.used()
        world.age(FINAL_SECONDS + READ_SECONDS)
        world.tidy()
    for _ in range(LEAST):
        world.used()
    world.age(FINAL_SECONDS + READ_SECONDS)
    world.storage.calls_left = step
    try:
        world.tidy()
    except Unavailable:
        assert step < 39, "the last step of all is reached"
    world.storage.calls_left = None
    assert world.uses() == 3 * LEAST
    world.age(READ_SECONDS + 60)
    world.tidy()
    world.age(READ_SECONDS + 60)
    world.tidy()
    assert world.uses() == 3 * LEAST
    assert len(world.paths()) == 1


def test_of_two_that_put_together_at_once_one_does(world: World) -> None:
    for _ in range(LEAST):
        world.used()
    world.age(FINAL_SECONDS + 60)
    put = world.storage.put

    def slower(path: str, data: bytes) -> str | None:
        world.storage.put = put
        world.tidy()
        return put(path, data)

    world.storage.put = slower
    world.tidy()
    assert len(world.merged()) == 1
    assert world.uses() == LEAST


def test_a_process_that_goes_on_for_long_begins_another_object(world: World, now: list[float]) -> None:
    process = world.process()
    for hours in (0, 1, 5.9, 6.1, 12, 40):
        now[0] = 100.0 + hours * 3600
        process.add([Use("k", 1, 1, NOW, NOW + hours)])
        process.write()
    assert len(world.paths()) == 3
    assert world.uses() == 6
    assert process.read(["k"])["k", 1] == Use("k", 1, 6, NOW, NOW + 40)


def test_a_process_that_was_idle_counts_what_was_put_together_meanwhile_once(
    world: World, now: list[float]
) -> None:
    process = world.process()
    process.add([Use("k", 1, 5, NOW, NOW)])
    process.write()
    process.add([Use("k", 1, 2, NOW, NOW)])
    for _ in range(LEAST):
        world.used()
    world.age(FINAL_SECONDS + 60)
    world.tidy()
    now[0] += FINAL_SECONDS + 60
    assert process.read(["k"])["k", 1].uses == LEAST + 7
    process.write()
    assert world.uses() == LEAST + 7
    world.age(READ_SECONDS + 60)
    world.tidy()
    assert process.read(["k"])["k", 1].uses == world.uses() == LEAST + 7


def test_a_write_whose_result_nobody_knows_is_made_again_to_the_same_object(
    world: World, now: list[float]
) -> None:
    process = world.process()
    process.add([Use("k", 1, 1, NOW, NOW)])
    process.write()
    process.add([Use("k", 1, 1, NOW, NOW)])
    world.storage.silent = {("replace", "usage")}
    with pytest.raises(Unavailable):
        process.write()
    world.storage.mend()
    now[0] += WRITTEN_FOR_SECONDS + 60
    process.write()
    assert world.uses() == 2
    process.add([Use("k", 1, 1, NOW, NOW)])
    process.write()
    assert world.uses() == 3
    assert len(world.paths()) == 2


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "unanswered"])
def test_who_reads_while_an_object_is_written_for_the_last_time_changes_nothing(
    world: World, now: list[float], silent: bool
) -> None:
    process = world.process()
    process.add([Use("k", 1, 5, NOW, NOW)])
    process.write()
    process.add([Use("k", 1, 2, NOW, NOW)])
    replace, read = world.storage.replace, []

    def slow(path: str, data: bytes) -> None:
        now[0] += WRITTEN_FOR_SECONDS
        read.append(process.read(["k"])["k", 1].uses)
        replace(path, data)
        read.append(process.read(["k"])["k", 1].uses)
        if silent:
            raise Unavailable("The storage did not answer.")

    world.storage.replace = slow
    with pytest.raises(Unavailable) if silent else nullcontext():
        process.write()
    world.storage.replace = replace
    for total in (8, 9):
        process.add([Use("k", 1, 1, NOW, NOW)])
        process.write()
        assert process.read(["k"])["k", 1].uses == world.uses() == total
        now[0] += WRITTEN_FOR_SECONDS
    assert read == [7, 7]


def test_what_cannot_be_read_is_not_put_together(world: World) -> None:
    for _ in range(LEAST):
        world.used()
    spoilt = world.root / "usage" / "spoilt.json"
    spoilt.write_text("[1")
    world.age(FINAL_SECONDS + READ_SECONDS)
    world.tidy()
    (one,) = world.merged()
    assert spoilt.name not in one.read_text()
    one.write_text("spoilt")
    world.age(READ_SECONDS + 60)
    world.tidy()
    assert world.uses() == LEAST, "as long as nothing is taken away on its word"


def test_refusals_of_long_ago_are_taken_away(world: World) -> None:
    world.used()
    world.storage.replace(path_of(Place.DENIALS, "old"), b"{}")
    world.age(DENIALS_KEPT_SECONDS + 60)
    world.storage.replace(path_of(Place.DENIALS, "new"), b"{}")
    world.tidy()
    assert [path.name for path in (world.root / Place.DENIALS.folder).iterdir()] == ["new.json"]


def test_notes_are_read_by_many_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, [0.0])
    world.used()
    reading = notes.Reading(world.storage)

    class Seen(str):
        """A path that is looked at while another thread comes to know of one more."""

        def startswith(self, *args: Any) -> bool:
            reading._known[f"{self}-and-another"] = ("", notes.Notes(()))
            return str(self).startswith(*args)

    reading._known = {Seen(path_of(Place.USAGE, 0)): ("", notes.Notes(()))}
    assert [len(rows) for rows in reading.uses(without="")] == [0, 1]
