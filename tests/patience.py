"""How tests wait where the clock is real: a machine that stands still makes them slow, and fails none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0
"""How long a loaded machine may take for what is done in a second."""
TRIES = 10
_pause = threading.Event()


def eventually(true: Callable[[], Any], *, within: float = PATIENCE_SECONDS, every: float = 0.01) -> Any:
    """What `true` returns once that is true; fails when it does not become so in time."""
    deadline = time.monotonic() + within
    while not (found := true()):
        assert time.monotonic() < deadline, "this did not happen in time"
        _pause.wait(every)
    return found


def soon(measure: Callable[[], float], *, within: float) -> float:
    """The first of a few measurements that stays below so many seconds; fails when none does.

    A machine that stands still lengthens one of them, and code that takes too long all of them.
    """
    taken: list[float] = []
    while not taken or taken[-1] >= within:
        assert len(taken) < TRIES, f"never below {within} s: {taken}"
        taken.append(measure())
    return taken[-1]


def seconds_until(true: Callable[[], Any], *, every: float = 0.002) -> float:
    """How long it took until that was true; fails when it does not become so at all."""
    begun = time.monotonic()
    eventually(true, every=every)
    return time.monotonic() - begun
