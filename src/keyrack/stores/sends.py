"""The seam for what was sent to upstreams: how often each version went out, and what became of it.

Counts are gathered in memory (gateway.monitoring.tally) and added here every half second; a crash loses at
most that.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class VersionUse(NamedTuple):
    """What became of one version of an upstream's secret, in all; or what is to be added to that."""

    upstream: str
    """The id of the upstream: tenant and group."""
    number: int
    uses: int
    """How often it was sent."""
    refusals: int
    """How often it was refused while another version passed for the same request."""
    leading: int
    """How many sends were refused before the first one that was not."""
    first_at: float
    last_at: float
    accepted_at: float | None = None
    """When it was last accepted; all times in Unix seconds."""
    refused_at: float | None = None
    """When it was last refused."""

    @property
    def slot(self) -> tuple[str, int]:
        """What it is found by."""
        return self.upstream, self.number

    @property
    def is_only_refused(self) -> bool:
        """Whether no send of it was anything but refused."""
        return self.leading == self.uses


class HourUse(NamedTuple):
    """What one version was sent in one hour of a rotation, counted from its start."""

    upstream: str
    number: int
    hour_at: float
    """When the hour began, in Unix seconds."""
    uses: int = 0
    accepted: int = 0
    refused: int = 0
    fallbacks: int = 0
    """Sends of it that followed on a refusal of another version."""
    not_replayed: int = 0
    """Refusals after which nothing could be sent again, since the body was too large to be kept."""

    @property
    def slot(self) -> tuple[str, int, float]:
        """What it is found by."""
        return self.upstream, self.number, self.hour_at


class Refuser(NamedTuple):
    """Whose request was among the first of a version, which were all refused."""

    upstream: str
    number: int
    who: str


class Sends(Protocol):
    """Where counts are kept. Every method may wait for a disk or network; raises Unavailable for trouble."""

    def add(self, uses: Sequence[VersionUse], hours: Sequence[HourUse], refusers: Sequence[Refuser]) -> None:
        """Add all of it in one step. Refusers count only for versions that were never but refused."""

    def uses(self, upstreams: Sequence[str]) -> Mapping[tuple[str, int], VersionUse]:
        """What is known of the versions of these upstreams, by upstream and number."""

    def hours(self, upstreams: Sequence[str]) -> Sequence[HourUse]:
        """The hours of these upstreams, in order of time and number."""

    def refusers(self, upstream: str, number: int) -> int:
        """How many different ones the first refusals of a version came from."""

    def forget(self, before: float) -> None:
        """Drop the hours that began before that time."""


class MemorySends:
    """Counts in the process, gone with it. Implements Sends."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._uses: dict[tuple[str, int], VersionUse] = {}
        self._hours: dict[tuple[str, int, float], HourUse] = {}
        self._refusers: set[Refuser] = set()

    def add(self, uses: Sequence[VersionUse], hours: Sequence[HourUse], refusers: Sequence[Refuser]) -> None:
        with self._turn:
            self._refusers.update(counted(refusers, self._uses))
            for use in uses:
                self._uses[use.slot] = merged(self._uses.get(use.slot), use)
            for hour in hours:
                self._hours[hour.slot] = merged_hour(self._hours.get(hour.slot), hour)

    def uses(self, upstreams: Sequence[str]) -> Mapping[tuple[str, int], VersionUse]:
        with self._turn:
            return {slot: use for slot, use in self._uses.items() if slot[0] in upstreams}

    def hours(self, upstreams: Sequence[str]) -> Sequence[HourUse]:
        with self._turn:
            found = [hour for hour in self._hours.values() if hour.upstream in upstreams]
        return sorted(found, key=lambda hour: (hour.hour_at, hour.upstream, hour.number))

    def refusers(self, upstream: str, number: int) -> int:
        with self._turn:
            return sum((one.upstream, one.number) == (upstream, number) for one in self._refusers)

    def forget(self, before: float) -> None:
        with self._turn:
            self._hours = {slot: hour for slot, hour in self._hours.items() if hour.hour_at >= before}


def merged(known: VersionUse | None, more: VersionUse) -> VersionUse:
    """Both together, `more` being the later."""
    if known is None:
        return more
    return VersionUse(
        *known.slot,
        uses=known.uses + more.uses,
        refusals=known.refusals + more.refusals,
        leading=known.leading + (more.leading if known.is_only_refused else 0),
        first_at=min(known.first_at, more.first_at),
        last_at=max(known.last_at, more.last_at),
        accepted_at=_later(known.accepted_at, more.accepted_at),
        refused_at=_later(known.refused_at, more.refused_at),
    )


def merged_hour(known: HourUse | None, more: HourUse) -> HourUse:
    """Both together."""
    if known is None:
        return more
    return HourUse(*known.slot, *(one + other for one, other in zip(known[3:], more[3:], strict=True)))


def counted(refusers: Sequence[Refuser], uses: Mapping[tuple[str, int], VersionUse]) -> list[Refuser]:
    """Those whose version was never but refused until now."""
    known = ((one, uses.get((one.upstream, one.number))) for one in refusers)
    return [one for one, use in known if use is None or use.is_only_refused]


def _later(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
