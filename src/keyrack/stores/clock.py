"""The store's time, by which keys expire on every node alike: this machine's, put right where it is off."""

from __future__ import annotations

import logging
import time
from typing import Protocol, runtime_checkable

from keyrack.core.errors import Unavailable
from keyrack.stores.opened import Clock

TOLERATED_SECONDS = 2.0
"""How far a machine may be off without being put right: that is what synchronised ones are, and no more."""
CORRECTED_SECONDS = 300.0
"""Beyond that nobody can tell which clock is wrong, so the node is not ready."""

log = logging.getLogger("keyrack.clock")


@runtime_checkable
class Dating(Protocol):
    """Keys of a store that has a clock of its own."""

    clock: Clock


class StoreClock:
    """Unix seconds by a store's clock, as it was when last compared."""

    def __init__(self, system: Clock = time.time):
        self._system = system
        self._offset = 0.0

    def __call__(self) -> float:
        return self._system() + self._offset

    def system(self) -> float:
        """Unix seconds by this machine's clock."""
        return self._system()

    def compare(self, theirs: float, *, asked_at: float) -> None:
        """Take note of the store's time, which was asked for at `asked_at` by `system`.

        Raises Unavailable when the two are more than five minutes apart.
        """
        offset = theirs - (asked_at + self._system()) / 2
        if abs(offset) > CORRECTED_SECONDS:
            raise Unavailable(f"This machine's clock is {offset:+.0f} s off the store's; set one of them.")
        self._correct(offset if abs(offset) > TOLERATED_SECONDS else 0.0)

    def _correct(self, offset: float) -> None:
        if bool(offset) != bool(self._offset):
            log.warning(
                "this machine's clock is %s the store's", f"{offset:+.1f} s off" if offset else "again with"
            )
        self._offset = offset
