"""The storage's time, as far as it tells: when an object was written that this process has just put."""

from __future__ import annotations

import logging
import secrets

from keyrack.core.errors import Unavailable
from keyrack.stores.clock import TOLERATED_SECONDS, StoreClock
from keyrack.stores.follower import NEVER, steady
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 2.0
"""How soon it is asked again after an answer that took long, or while clocks are too far apart to decide."""

log = logging.getLogger("keyrack.clock")


class Timekeeping:
    """Compares this machine's clock with the storage's, now and then. Three small requests each time."""

    def __init__(self, storage: Storage, clock: StoreClock, *, every_seconds: float = EVERY_SECONDS):
        self.clock = clock
        self._storage = storage
        self._every_seconds = every_seconds
        self._path = path_of(Place.PROBE, secrets.token_hex(8))
        self._due_at = NEVER
        self._trouble: Unavailable | None = None
        self._is_told = True

    def look(self) -> None:
        """Compare the clocks when it is time to. Raises Unavailable while they are five minutes apart.

        A storage that does not take or date an object leaves this machine's clock as it is.
        """
        if steady() >= self._due_at:
            self._compare()
        if self._trouble is not None:
            raise self._trouble

    def _compare(self) -> None:
        self._due_at = steady() + self._every_seconds
        asked_at = self.clock.system()
        theirs = self._ask()
        # Of an answer that took long nobody knows to which moment it belongs.
        took_long = self.clock.system() - asked_at > TOLERATED_SECONDS
        if theirs is not None and not took_long:
            self._trouble = self._compared(theirs, asked_at)
        if took_long or self._trouble is not None:
            self._due_at = steady() + AGAIN_SECONDS

    def _compared(self, theirs: float, asked_at: float) -> Unavailable | None:
        try:
            self.clock.compare(theirs, asked_at=asked_at)
        except Unavailable as error:
            return error
        return None

    def _ask(self) -> float | None:
        try:
            self._storage.replace(self._path, b"{}")
            written_at = self._storage.written_at(self._path)
            self._storage.remove(self._path)
        except Unavailable as error:
            self._say_once(error.detail)
            return None
        self._is_told = True
        return written_at

    def _say_once(self, why: str) -> None:
        if self._is_told:
            log.warning("the storage does not tell its time, so this machine's is taken: %s", why)
        self._is_told = False
