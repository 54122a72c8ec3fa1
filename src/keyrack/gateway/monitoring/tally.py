"""What was sent with which version, counted in memory and written behind; and what is known of all of it.

A send makes one cheap note. Every half second the notes are rolled up and added to the store; a crash
loses at most that.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from keyrack.core.upstream import Upstream
from keyrack.stores.opened import Stores
from keyrack.stores.sends import HourUse, Refuser, VersionUse, merged, merged_hour

Fallback = Literal["to_old", "to_new", "not_replayed"]
"""That a send followed on a refusal, or that none could follow on this one: the body was too large."""
HOUR_SECONDS = 3600.0
FIRST_SENDS = 20
"""So many sends of a new version say whether the upstream knows it at all (UG-22)."""


class _Sent(NamedTuple):
    upstream: Upstream
    number: int
    at: float
    accepted: bool | None
    who: str | None
    fallback: Fallback | None


@dataclass(frozen=True, slots=True)
class UpstreamUse:
    """What is known of one upstream's use, as far as it was written."""

    versions: Mapping[int, VersionUse]
    hours: Sequence[HourUse]
    """Those of the present rotation, in order."""


@dataclass(slots=True)
class _Rolled:
    """Notes added up, until they are written."""

    uses: dict[tuple[str, int], VersionUse] = field(default_factory=dict)
    hours: dict[tuple[str, int, float], HourUse] = field(default_factory=dict)
    refusers: dict[Refuser, None] = field(default_factory=dict)

    def add(self, sent: _Sent) -> None:
        use = _use(sent)
        known = self.uses[use.slot] = merged(self.uses.get(use.slot), use)
        if known.is_only_refused and known.leading <= FIRST_SENDS and sent.who is not None:
            self.refusers[Refuser(*use.slot, sent.who)] = None
        if sent.upstream.rollout is not None:
            hour = _hour(sent, sent.upstream.rollout.started_at.timestamp())
            self.hours[hour.slot] = merged_hour(self.hours.get(hour.slot), hour)


class Tally:
    """Counts the sends of this process, and remembers what all of them have written."""

    def __init__(self, stores: Stores):
        self._sends = stores.gateway.sends
        self._clock = stores.clock
        self._notes: deque[_Sent] = deque()
        self._rolled = _Rolled()
        self._turn = threading.Lock()
        self._known: Mapping[tuple[str, int], VersionUse] = {}
        self._accepted: dict[tuple[str, int], float] = {}
        self.totals: Counter[tuple[str, str, str, str]] = Counter()
        """Sends of this process by tenant, group, version and outcome, for metrics."""

    def sent(
        self,
        upstream: Upstream,
        number: int,
        *,
        accepted: bool | None,
        key_id: str | None = None,
        owner: str | None = None,
        fallback: Fallback | None = None,
    ) -> None:
        """Note one send of a version. Waits for nothing.

        `accepted` is False for a refusal that counts: another version passed for the same request, or
        whoever carries the request cannot try another. It is None for what says nothing of the version.
        """
        at = self._clock()
        self._notes.append(_Sent(upstream, number, at, accepted, key_id or owner, fallback))
        if accepted:
            self._accepted[upstream.id, number] = at

    def latest_success(self, upstream_id: str, among: Collection[int] | None = None) -> int | None:
        """The version (of these, where some are named) that the upstream accepted last, in any process."""
        found = ((at, number) for number, at in self._accepted_at(upstream_id))
        _, number = max((one for one in found if among is None or one[1] in among), default=(0.0, None))
        return number

    def accepted_new(self, upstream: Upstream) -> bool:
        """Whether the newest version was accepted yet, in any process; known elsewhere a second later."""
        newest = upstream.versions[-1].number
        return any(number == newest for number, _ in self._accepted_at(upstream.id))

    def flush(self) -> None:
        """Write what was noted. Raises Unavailable, and keeps it, when that fails."""
        with self._turn:
            for sent in [self._notes.popleft() for _ in range(len(self._notes))]:
                self._rolled.add(sent)
                self.totals[_labels(sent)] += 1
            if self._rolled.uses:
                # In one order, so that no two writers wait for each other.
                uses, hours = sorted(self._rolled.uses.values()), sorted(self._rolled.hours.values())
                self._sends.add(uses, hours, list(self._rolled.refusers))
                self._rolled = _Rolled()

    def refresh(self, upstreams: Collection[str]) -> None:
        """Read what all processes have written of these upstreams. Raises Unavailable."""
        self._known = self._sends.uses(sorted(upstreams)) if upstreams else {}
        for slot in list(self._accepted):
            if slot[0] not in upstreams:
                del self._accepted[slot]

    def known(self, upstream_id: str, number: int) -> VersionUse | None:
        """The use of a version when it was last read."""
        return self._known.get((upstream_id, number))

    def use_of(self, upstream: Upstream) -> UpstreamUse:
        """What was written of one upstream by now. Waits for the store; raises Unavailable."""
        return self.uses_of([upstream])[upstream.id]

    def uses_of(self, upstreams: Sequence[Upstream]) -> dict[str, UpstreamUse]:
        """What was written of these upstreams by now, by id. Waits for the store; raises Unavailable."""
        ids = [one.id for one in upstreams]
        uses, hours = self._sends.uses(ids), self._sends.hours(ids)
        return {one.id: _picked(one, uses.values(), hours) for one in upstreams}

    def _accepted_at(self, upstream_id: str) -> list[tuple[int, float]]:
        known = [(slot, use.accepted_at) for slot, use in self._known.items() if use.accepted_at is not None]
        found = (*known, *self._accepted.copy().items())
        return [(number, at) for (upstream, number), at in found if upstream == upstream_id]


def _picked(upstream: Upstream, uses: Iterable[VersionUse], hours: Iterable[HourUse]) -> UpstreamUse:
    since = None if upstream.rollout is None else upstream.rollout.started_at.timestamp()
    return UpstreamUse(
        {use.number: use for use in uses if use.upstream == upstream.id},
        [one for one in hours if one.upstream == upstream.id and since is not None and one.hour_at >= since],
    )


def _use(sent: _Sent) -> VersionUse:
    refused = sent.accepted is False
    return VersionUse(
        sent.upstream.id,
        sent.number,
        uses=1,
        refusals=int(refused),
        leading=int(refused),
        first_at=sent.at,
        last_at=sent.at,
        accepted_at=sent.at if sent.accepted else None,
        refused_at=sent.at if refused else None,
    )


def _hour(sent: _Sent, started_at: float) -> HourUse:
    whole_hours = (sent.at - started_at) // HOUR_SECONDS
    return HourUse(
        sent.upstream.id,
        sent.number,
        started_at + max(0.0, whole_hours) * HOUR_SECONDS,
        uses=1,
        accepted=int(sent.accepted is True),
        refused=int(sent.accepted is False),
        fallbacks=int(sent.fallback in ("to_old", "to_new")),
        not_replayed=int(sent.fallback == "not_replayed"),
    )


_OUTCOMES: Mapping[bool | None, str] = {True: "accepted", False: "refused", None: "other"}
_FALLBACKS: Mapping[Fallback, str] = {
    "to_old": "fallback_to_old",
    "to_new": "fallback_to_new",
    "not_replayed": "not_replayed",
}


def _labels(sent: _Sent) -> tuple[str, str, str, str]:
    outcome = _FALLBACKS[sent.fallback] if sent.fallback else _OUTCOMES[sent.accepted]
    return sent.upstream.tenant, sent.upstream.name, str(sent.number), outcome
