"""Two things timed by turns, so that a busy moment of the machine meets both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from time import perf_counter_ns, thread_time_ns
from typing import NamedTuple

from bench.figures import Figure, Spread, Target


class Turns(NamedTuple):
    """Nanoseconds a call in each round: of ours, and of what it stands beside."""

    ours: Sequence[float]
    beside: Sequence[float]

    def figure(self, name: str, target: Target | None = None) -> Figure:
        """These turns as a line of a table."""
        ratios = [ours / beside for ours, beside in zip(self.ours, self.beside, strict=True)]
        return Figure(name, "µs", _micro(self.ours), _micro(self.beside), Spread.of(ratios), target)


def by_turns(ours: Callable[[], float], beside: Callable[[], float], rounds: int) -> Turns:
    """Run both so many times, one after the other. Each returns its nanoseconds a call."""
    found = [(ours(), beside()) for _ in range(rounds)]
    return Turns([one for one, _ in found], [other for _, other in found])


def each(function: Callable[..., object], *arguments: Sequence[object]) -> float:
    """Nanoseconds of this thread's processor time that one call takes, over one for each row of arguments.

    Not of the clock on the wall: other processes, and the thread that writes the journal, take turns
    with this one, and what they take is not what a decision takes.
    """
    calls = map(function, *arguments)
    started_at = thread_time_ns()
    deque(calls, maxlen=0)
    return (thread_time_ns() - started_at) / len(arguments[0])


def singly(function: Callable[..., object], *arguments: Sequence[object]) -> tuple[float, float]:
    """The 50th and the 99th percentile of calls timed one by one on the wall, the clock's cost included."""
    taken = []
    for row in zip(*arguments, strict=True):
        started_at = perf_counter_ns()
        function(*row)
        taken.append(perf_counter_ns() - started_at)
    return median(taken), quantiles(taken, n=100)[98]


def _micro(nanoseconds: Sequence[float]) -> float:
    return median(nanoseconds) / 1000
