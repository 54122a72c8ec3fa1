"""What a thread does again and again: when it is due, when it is tried again, and what is said of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from keyrack.core.errors import KeyrackError
from keyrack.stores.follower import steady

RETRY_SECONDS = 0.5
"""How soon what failed is tried again, if it is not due before that."""
FAULT = "A fault of ours ended it; the log has it."
"""The trouble of a chore that raised anything but a KeyrackError."""

log = logging.getLogger("keyrack.upkeep")


class Telling:
    """Logs a trouble once when it begins or changes, and once when it is over."""

    def __init__(self, what: str):
        self._what = what
        self._told: str | None = None

    def tell(self, trouble: str | None) -> None:
        """Say how it is now; None is well."""
        if trouble == self._told:
            return
        self._told = trouble
        if trouble is None:
            log.info("over: %s", self._what)
        else:
            log.error("%s: %s", self._what, trouble)


class Chore:
    """Something to do every so many seconds."""

    def __init__(self, trouble: str, work: Callable[[], None], every: float):
        self._telling = Telling(trouble)
        self._work = work
        self._every = every
        self._due_at = 0.0
        self.trouble: str | None = None
        """Why the last attempt failed, in one sentence; None when it did not."""

    def attempt(self) -> bool:
        """Do it if it is due; False while its last attempt failed. Raises what is a fault of ours."""
        if steady() >= self._due_at:
            self._do()
        return self.trouble is None

    def hurry(self) -> None:
        """Make it due now."""
        self._due_at = 0.0

    def _do(self) -> None:
        trouble: str | None = FAULT
        try:
            trouble = self._try()
        finally:
            # After a fault, too, which goes on from here: at once it would only fail again.
            self.trouble = trouble
            again = self._every if trouble is None else min(self._every, RETRY_SECONDS)
            self._due_at = steady() + again
        self._telling.tell(trouble)

    def _try(self) -> str | None:
        try:
            self._work()
        except KeyrackError as error:
            return error.detail
        return None


class ChoreThread:
    """A thread that does each of its chores when it is due, until it is stopped."""

    def __init__(self, name: str, chores: Sequence[Chore], *, every: float):
        """`every` so many seconds it looks which are due."""
        self._chores = chores
        self._every = every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, once it is done with what it is about."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            attempt_each(self._chores)


def attempt_each(chores: Sequence[Chore]) -> None:
    """Do those that are due. A fault of ours in one is logged, and ends none of the others."""
    for chore in chores:
        try:
            chore.attempt()
        except Exception:  # the edge of a thread
            log.exception("upkeep failed")


def finish(*works: Callable[[], None]) -> None:
    """Do all of these for the last time; what cannot be done is logged."""
    for work in works:
        try:
            work()
        except KeyrackError as error:
            log.warning("not everything could be written at the end: %s", error.detail)
