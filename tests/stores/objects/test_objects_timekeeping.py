"""A node goes by its storage's time, which is that of an object it has just written."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from pathlib import Path

import pytest
from objects_bed import MoodyStorage, founded
from patience import eventually
from servers.s3 import s3_server, s3_url  # noqa: F401  # fixtures

from keyrack.core.errors import Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.clock import StoreClock
from keyrack.stores.follower import Follower
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.keys import ObjectKeys
from keyrack.stores.objects.opening import open_storage
from keyrack.stores.objects.timekeeping import Timekeeping
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

NOW = 1_700_000_000.0
GIVEN = Peppers.parse(PEPPERS)


class Dated(MoodyStorage):
    """A storage whose clock is set, beside a machine whose clock is; asking may take some seconds."""

    def __init__(self, root: Path):
        super().__init__(Directory(root))
        self.now = self.machine = NOW
        self.takes = 0.0

    def written_at(self, path: str) -> float | None:
        self.asked.append(("written_at", path))
        self.machine += self.takes
        return self.now if self._inside.tag(path) is not None else None

    def kept(self, *, every_seconds: float = 0.0) -> Timekeeping:
        return Timekeeping(self, StoreClock(lambda: self.machine), every_seconds=every_seconds)


@pytest.fixture
def storage(tmp_path: Path) -> Dated:
    founded(tmp_path / "keys").keys.close()
    return Dated(tmp_path / "keys")


def test_a_machine_that_is_off_is_put_right_and_leaves_nothing_behind(storage: Dated, tmp_path: Path) -> None:
    kept = storage.kept()
    storage.machine = NOW + 100
    kept.look()
    assert kept.clock() == NOW
    assert list((tmp_path / "keys" / "probe").iterdir()) == []


def test_clocks_are_compared_now_and_then(storage: Dated) -> None:
    kept = storage.kept(every_seconds=3600)
    kept.look()
    storage.asked.clear()
    kept.look()
    assert storage.asked == []


def test_a_machine_that_is_far_off_is_refused_until_it_is_set(
    storage: Dated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyrack.stores.objects.timekeeping.AGAIN_SECONDS", 0.0)
    kept = storage.kept(every_seconds=3600)
    storage.machine = NOW + 301
    for _ in range(2):
        with pytest.raises(Unavailable, match="clock"):
            kept.look()
    storage.machine = NOW
    kept.look()


def test_what_was_found_far_off_stays_so_between_two_comparisons(storage: Dated) -> None:
    kept = storage.kept(every_seconds=3600)
    storage.machine = NOW + 301
    with pytest.raises(Unavailable):
        kept.look()
    storage.refuses = {("replace", "probe")}
    kept._due_at = 0.0
    with pytest.raises(Unavailable, match="clock"):
        kept.look()


def test_an_answer_that_took_long_says_nothing(storage: Dated) -> None:
    kept = storage.kept()
    storage.takes = 200.0
    kept.look()
    assert kept.clock() == storage.machine


@pytest.mark.parametrize("what", ["replace", "remove"])
def test_a_storage_that_tells_no_time_leaves_the_machine_its_own(
    storage: Dated, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = storage.kept()
    storage.machine = NOW + 100
    storage.refuses = {(what, "probe")}
    with caplog.at_level(logging.WARNING, "keyrack.clock"):
        kept.look()
        kept.look()
    assert kept.clock() == NOW + 100
    assert len(caplog.records) == 1
    storage.mend()
    kept.look()
    assert kept.clock() == NOW


@pytest.fixture(params=["directory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store in a directory or a bucket, whose clock is that of this machine."""
    name: str = (
        f"file://{tmp_path}/new" if request.param == "directory" else request.getfixturevalue("s3_url")
    )
    with closing(open_stores(name, peppers=PEPPERS, create=True)) as stores:
        assert isinstance(stores.clock, StoreClock)
    return name


@pytest.mark.parametrize("off", [-100, 100])
def test_a_follower_goes_by_the_clock_of_its_storage(url: str, off: int) -> None:
    clock = StoreClock(lambda: time.time() + off)
    with closing(ObjectKeys(open_storage(url), GIVEN, clock=clock)) as keys:
        follower = Follower(keys, GIVEN)

        def is_right() -> bool:
            follower.poll()
            return abs(clock() - time.time()) < 30

        eventually(is_right)


def test_a_node_whose_clock_is_far_off_is_neither_confirmed_nor_started(url: str) -> None:
    with closing(ObjectKeys(open_storage(url), GIVEN, clock=StoreClock(lambda: time.time() + 1000))) as keys:
        follower = Follower(keys, GIVEN)
        eventually(lambda: not follower.poll() and "clock" in str(follower.trouble))
        with pytest.raises(Unavailable, match="clock"):
            follower.load()
