"""What a gateway does in the background goes on, whichever of its jobs cannot be done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from engine_bed import OPERATOR, Bed
from gateway.rotation_bed import FIELDS, RotationBed

from keyrack.chores import attempt_each
from keyrack.core.errors import Unavailable
from keyrack.gateway.monitoring.signals import Signal, SignalKind
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.sends import HourUse, MemorySends, Refuser, VersionUse

FALLBACK = Signal(SignalKind.FALLBACK, "default", "openai")


class BrokenSends(MemorySends):
    """Counts that cannot be written."""

    def __init__(self, error: Exception):
        super().__init__()
        self._error = error

    def add(self, uses: Sequence[VersionUse], hours: Sequence[HourUse], refusers: Sequence[Refuser]) -> None:
        raise self._error


def uncounted(bed: Bed, error: Exception) -> RotationBed:
    """A process that has sent what cannot be counted, and has something to tell."""
    object.__setattr__(bed.stores, "gateway", GatewayState(sends=BrokenSends(error)))
    made = RotationBed(bed)
    made.upstreams.create(FIELDS, by=OPERATOR)
    made.send(1)
    made.monitoring.signals.tell(FALLBACK)
    return made


def test_a_fault_in_one_job_ends_no_other(memory: Bed, caplog: pytest.LogCaptureFixture) -> None:
    bed = uncounted(memory, ZeroDivisionError("a fault"))
    attempt_each(bed.chores.jobs)
    assert bed.told == {"rotation.fallback": 1}
    assert "ZeroDivisionError: a fault" in caplog.text


def test_at_the_end_signals_are_told_although_nothing_can_be_counted(
    memory: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed = uncounted(memory, Unavailable("The disk is gone."))
    bed.chores.stop()
    assert bed.told == {"rotation.fallback": 1}
    assert "not everything could be written at the end: The disk is gone." in caplog.text
