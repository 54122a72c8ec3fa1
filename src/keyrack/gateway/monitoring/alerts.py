"""What is to be told of a rotation, from its record, its counts and a time. Nothing here reads a store.

Each signal says what it is told once for, so this may be asked again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from keyrack.core.model import VersionState
from keyrack.core.records import write_time
from keyrack.core.upstream import Rollout, Upstream, UpstreamVersion
from keyrack.gateway.admin import rotations
from keyrack.gateway.monitoring.signals import Signal, SignalKind
from keyrack.gateway.monitoring.tally import HOUR_SECONDS, UpstreamUse

LATE = 0.8
"""The share of grace after which nobody should use an old version any more."""
HALF = 0.5
CLEANING_SECONDS = (10 * 60, 7 * 24 * 3600)
"""How long after its end a rotation that was not cleaned up is told, and told again."""
REFUSED_FIRST = "the first sends were all refused"


def judged(upstream: Upstream, use: UpstreamUse, now: float) -> Iterator[Signal]:
    """Everything that is to be told of the rotation of this upstream by now, in Unix seconds."""
    between = rotations.pair(upstream, datetime.fromtimestamp(now, UTC))
    if upstream.rollout is None or between is None:
        return
    rotation = _Rotation(upstream, upstream.rollout, use, now)
    for old in rotation.olds:
        yield from rotation.of_old(old)
    grace = rotation.grace(between.old)
    yield from rotation.of_new(between.new, grace)
    yield from rotation.not_falling(grace)
    yield from rotation.not_cleaned(grace)


def grace_expired(upstream: Upstream, old: UpstreamVersion) -> Signal:
    """That the grace of an old version has reached its end, once for this end."""
    end = "" if old.not_after is None else write_time(old.not_after)
    at = None if old.not_after is None else old.not_after.timestamp()
    data = {"version": old.number, "api_key_rotation_expires": end}
    return Signal(SignalKind.GRACE_EXPIRED, upstream.tenant, upstream.name, data, f"{old.number}/{end}", at)


def new_key_refused(upstream: Upstream, rollout: Rollout, why: str) -> Signal:
    """That the upstream does not seem to know the newest version, once for this reason."""
    data = {"version": upstream.versions[-1].number, "why": why}
    kind = SignalKind.ALERT_NEW_KEY_REFUSED
    return Signal(kind, upstream.tenant, upstream.name, data, f"{rollout.id}/{why}")


class _Grace(NamedTuple):
    """The time in which an old version lives beside the new one, in Unix seconds."""

    began_at: float
    ends_at: float

    def at(self, share: float) -> float:
        return self.began_at + share * (self.ends_at - self.began_at)


@dataclass(frozen=True, slots=True)
class _Rotation:
    """A rotation as it is at one time."""

    upstream: Upstream
    rollout: Rollout
    use: UpstreamUse
    now: float

    @property
    def olds(self) -> Iterator[UpstreamVersion]:
        """The versions that have an end, also when it is past, until the rotation is cleaned up."""
        live = (one for one in self.upstream.versions if one.state is VersionState.LIVE)
        return (one for one in live if one.not_after is not None)

    def grace(self, old: UpstreamVersion) -> _Grace:
        """The grace of an old version: since the next one was made, or since it was brought back itself."""
        live = (one for one in self.upstream.versions if one.state is VersionState.LIVE)
        later = (one.created_at for one in live if one.number > old.number)
        began_at = min(later, default=self.rollout.started_at)
        return _Grace(began_at.timestamp(), (old.not_after or began_at).timestamp())

    def of_old(self, old: UpstreamVersion) -> Iterator[Signal]:
        """That an old version was used (once an hour), that it was used late, and that its end has come."""
        grace, used, data = self.grace(old), self.use.versions.get(old.number), {"version": old.number}
        if old.has_unreadable_end:
            yield self._signal(SignalKind.ALERT_UNREADABLE_END, data, f"{old.number}")
        if used is not None and used.last_at >= grace.began_at:
            hour = int((used.last_at - grace.began_at) // HOUR_SECONDS)
            yield self._signal(SignalKind.OLD_KEY_USED, data, f"{old.number}/{hour}", at=used.last_at)
        if used is not None and used.last_at > grace.at(LATE):
            yield self._signal(SignalKind.ALERT_OLD_KEY_LATE_USE, data, f"{old.number}", at=used.last_at)
        if self.now >= grace.ends_at:
            yield grace_expired(self.upstream, old)

    def of_new(self, new: UpstreamVersion, grace: _Grace) -> Iterator[Signal]:
        """That nothing was accepted with the new version: at half of grace, and late in it."""
        used = self.use.versions.get(new.number)
        accepted_at = None if used is None else used.accepted_at
        if (accepted_at is not None and accepted_at >= grace.began_at) or self.now >= grace.ends_at:
            return
        passed = [share for share in (HALF, LATE) if self.now >= grace.at(share)]
        if passed:
            yield new_key_refused(self.upstream, self.rollout, f"no success at {passed[-1]:.0%} of grace")

    def not_falling(self, grace: _Grace) -> Iterator[Signal]:
        """That in the latest hour, the present or the last whole one, old versions were used as in the
        first."""
        present = self._hour_of(self.now)
        if self.now < grace.at(HALF) or present < 1:
            return
        uses = self._old_uses()
        latest = max(uses.get(hour, 0) for hour in (present, present - 1) if hour > 0)
        if latest >= max(1, uses.get(0, 0)):
            data = {"first_hour": uses.get(0, 0), "latest_hour": latest}
            yield self._signal(SignalKind.ALERT_OLD_KEY_NOT_FALLING, data, "")

    def not_cleaned(self, grace: _Grace) -> Iterator[Signal]:
        """That nobody cleaned up long after the end."""
        passed = [seconds for seconds in CLEANING_SECONDS if self.now >= grace.ends_at + seconds]
        if passed:
            data = {"seconds_after_expiry": passed[-1]}
            yield self._signal(SignalKind.ALERT_ROTATION_NOT_CLEANED, data, f"{passed[-1]}")

    def _old_uses(self) -> dict[int, int]:
        """How often versions other than the newest were sent, by the hours of the rotation."""
        newest, found = self.upstream.versions[-1].number, dict[int, int]()
        for one in (hour for hour in self.use.hours if hour.number != newest):
            hour = self._hour_of(one.hour_at)
            found[hour] = found.get(hour, 0) + one.uses
        return found

    def _hour_of(self, at: float) -> int:
        return int((at - self.rollout.started_at.timestamp()) // HOUR_SECONDS)

    def _signal(
        self, kind: SignalKind, data: Mapping[str, Any], once: str, *, at: float | None = None
    ) -> Signal:
        return Signal(kind, self.upstream.tenant, self.upstream.name, data, f"{self.rollout.id}/{once}", at)
