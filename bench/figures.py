"""What is measured, as values: a figure of ours, what it stands beside, their ratio, and its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple


class Spread(NamedTuple):
    """The median of several rounds, with the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of these values."""
        return cls(median(values), min(values), max(values))


class Target(NamedTuple):
    """A bound that DESIGN.md sets."""

    relation: Literal["≤", "≥"]
    bound: float

    def is_met_by(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value <= self.bound if self.relation == "≤" else value >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table. `value` is in `unit`; a ratio is that of each round, and never of two medians."""

    name: str
    unit: str
    value: float
    beside: float | None = None
    """What `value` is compared with, measured by turns with it."""
    ratio: Spread | None = None
    target: Target | None = None
    """For the ratio where there is one, else for the value."""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, or None where there is none."""
        if self.target is None:
            return None
        return self.target.is_met_by(self.value if self.ratio is None else self.ratio.median)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that were measured in one way."""

    title: str
    how: str
    """What exactly was timed, beside what, and in which state its caches were."""
    figures: Sequence[Figure]
    profile: Sequence[str] = ()
    """Where the time goes."""

    @property
    def is_missed(self) -> bool:
        """Whether any target is."""
        return any(figure.is_met is False for figure in self.figures)
