"""The store's time: a machine a little off is right, one that is off is corrected, one far off refused."""

from __future__ import annotations

import logging

import pytest

from keyrack.core.errors import Unavailable
from keyrack.stores.clock import StoreClock

NOW = 1_700_000_000.0


class System:
    """A machine's clock, for a test to set."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("off", [0.0, 1.9, -1.9])
def test_a_machine_that_is_a_little_off_keeps_its_time(off: float) -> None:
    clock = StoreClock(System(NOW + off))
    clock.compare(NOW, asked_at=clock.system())
    assert clock() == NOW + off


@pytest.mark.parametrize("off", [2.5, -2.5, 299.0, -299.0])
def test_a_machine_that_is_off_is_corrected_and_said_so_once(
    off: float, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(NOW + off)
    clock = StoreClock(system)
    for now in (NOW, NOW + 5):
        system.now = now + off
        clock.compare(now, asked_at=system.now)
        assert clock() == now
    system.now = NOW + 9
    clock.compare(NOW + 9, asked_at=system.now)
    assert clock() == NOW + 9
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        f"this machine's clock is {-off:+.1f} s off the store's",
        "this machine's clock is again with the store's",
    ]


@pytest.mark.parametrize("off", [301.0, -4e7])
def test_a_machine_that_is_far_off_is_not_ready(off: float) -> None:
    clock = StoreClock(System(NOW + off))
    with pytest.raises(Unavailable, match="clock"):
        clock.compare(NOW, asked_at=clock.system())


def test_the_store_is_asked_in_the_middle_of_the_time_that_asking_took() -> None:
    system = System(NOW)
    clock = StoreClock(system)
    system.now = NOW + 6
    clock.compare(NOW + 3 + 1.5, asked_at=NOW)
    assert clock() == NOW + 6
