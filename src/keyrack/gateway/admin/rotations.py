"""What a rotation makes of an upstream: pure functions, on the state machine of keyrack.core.rotation.

A roll-out stands in the record from the start of a rotation until it was promoted, dropped or cleaned up.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from keyrack.core import rotation
from keyrack.core.errors import Conflict, ValidationFailed
from keyrack.core.model import VersionState
from keyrack.core.rotation import DEFAULT_GRACE, MAX_GRACE, MIN_GRACE
from keyrack.core.upstream import Plan, Rollout, SendPolicy, Upstream, UpstreamVersion

STEPS = (1, 25, 50, 100)
"""The shares, in percent, that can be stated."""
EVERYBODY = STEPS[-1]
GRACE = {Plan.PLANNED: DEFAULT_GRACE, Plan.EMERGENCY: MIN_GRACE, Plan.GRADUAL: MAX_GRACE}
"""How long each plan lets the old version live, unless it is said otherwise."""
SHORTEST_MASKED = 24
NONE, ACTIVE, EXPIRED = "none", "active", "expired"


class Pair(NamedTuple):
    """The two versions that a rotation is between."""

    old: UpstreamVersion
    new: UpstreamVersion


@dataclass(frozen=True, slots=True)
class Start:
    """How a rotation begins."""

    ends_at: datetime
    plan: Plan = Plan.PLANNED
    force: bool = False


def hint(key: str) -> str:
    """The masked form of a secret: its first and last four characters, if it has 24."""
    return f"{key[:4]}…{key[-4:]}" if len(key) >= SHORTEST_MASKED else "…"


def first_version(key: str, number: int, now: datetime) -> UpstreamVersion:
    """A version of this secret that is live without an end."""
    return UpstreamVersion(number, VersionState.LIVE, now, hint(key))


def primary(upstream: Upstream, now: datetime) -> UpstreamVersion:
    """The live version that has no end: the present key."""
    return rotation.live(upstream.versions, now)[-1]


def state(upstream: Upstream, now: datetime) -> str:
    """`active` within grace, `expired` from its end until it was cleaned up, else `none`."""
    if rotation.rotating(upstream.versions, now):
        return ACTIVE
    return NONE if upstream.rollout is None else EXPIRED


def pair(upstream: Upstream, now: datetime) -> Pair | None:
    """The versions that the rotation is between, and was until it is cleaned up."""
    if upstream.rollout is None:
        return None
    new = primary(upstream, now)
    olds = [one for one in upstream.versions if one is not new and one.state is VersionState.LIVE]
    standing = [one for one in olds if rotation.is_live(one, now)]
    return Pair((standing or olds)[-1], new) if olds else None


def check_end(ends_at: datetime, *, started_at: datetime, now: datetime) -> None:
    """Refuse an end of grace that is past, or not 1 hour to 7 days after the start."""
    if ends_at <= now or not MIN_GRACE <= ends_at - started_at <= MAX_GRACE:
        raise grace_out_of_range("api_key_rotation_expires")


def grace_of(seconds: int) -> timedelta:
    """A grace in seconds. Raises ValidationFailed (`grace_out_of_range`)."""
    if not MIN_GRACE.total_seconds() <= seconds <= MAX_GRACE.total_seconds():
        raise grace_out_of_range("grace_seconds")
    return timedelta(seconds=seconds)


def grace_out_of_range(field: str) -> ValidationFailed:
    """The error for a grace that is too short or too long."""
    message = "Grace ends 1 hour (3600 seconds) to 7 days (604800 seconds) after the start."
    return ValidationFailed({field: [message]}, code="grace_out_of_range")


def started(upstream: Upstream, version: UpstreamVersion, start: Start, *, now: datetime) -> Upstream:
    """The upstream with a new version; the one that was primary lives on until the end of grace."""
    check_end(start.ends_at, started_at=now, now=now)
    kept = rotation.recognised(upstream.versions, now)
    versions = rotation.start(kept, version, now=now, ends_at=start.ends_at, force=start.force)
    return replace(upstream, versions=versions, rollout=_opening(start.plan, now), cleaned_up_at=None)


def replaced(upstream: Upstream, version: UpstreamVersion, *, now: datetime) -> Upstream:
    """The upstream with a new version in the place of its one live version, without grace."""
    kept = rotation.recognised(upstream.versions, now)
    return replace(upstream, versions=rotation.start(kept, version, now=now, ends_at=now, force=False))


def promoted(upstream: Upstream, *, now: datetime, destroy: bool = False) -> Upstream:
    """The upstream after grace was ended early."""
    versions = rotation.promote(upstream.versions, now, destroy=destroy)
    return replace(upstream, versions=versions, rollout=None, cleaned_up_at=now)


def aborted(upstream: Upstream, *, now: datetime) -> Upstream:
    """The upstream without its newest version; what was preferred before that is so again."""
    after = replace(upstream, versions=rotation.abort(upstream.versions, now))
    if rotation.rotating(after.versions, now):
        return replace(after, rollout=_returned(now))
    return replace(after, rollout=None, cleaned_up_at=now)


def undone(upstream: Upstream, *, now: datetime) -> Upstream:
    """The upstream with the version before as its primary; the newer one stays behind it for a day."""
    versions = rotation.undo(upstream.versions, now, ends_at=now + DEFAULT_GRACE)
    return replace(upstream, versions=versions, rollout=_returned(now), cleaned_up_at=None)


def stepped(upstream: Upstream, percent: int, *, now: datetime) -> Upstream:
    """The upstream with this share of requests preferring the new version."""
    rollout = _standing(upstream, now)
    if rollout.plan is Plan.EMERGENCY and percent != EVERYBODY:
        message = "In an emergency the new key is preferred for every request; abort to go back."
        raise ValidationFailed({"rollout_percent": [message]})
    if (rollout.policy, rollout.percent) == (SendPolicy.PREFER_NEW, percent):
        return upstream
    stated = replace(rollout, policy=SendPolicy.PREFER_NEW, percent=percent, stepped_at=now)
    return replace(upstream, rollout=stated)


def held(upstream: Upstream, *, now: datetime) -> Upstream:
    """The upstream with the old version preferred until a share is stated."""
    rollout = _standing(upstream, now)
    return replace(
        upstream, rollout=replace(rollout, policy=SendPolicy.HOLD_OLD, percent=None, stepped_at=now)
    )


def ending(upstream: Upstream, ends_at: datetime, *, now: datetime) -> Upstream:
    """The upstream with another end of grace for the version before its primary."""
    rollout, between = _standing(upstream, now), pair(upstream, now)
    check_end(ends_at, started_at=rollout.started_at, now=now)
    versions = tuple(
        replace(one, not_after=ends_at) if between and one is between.old else one
        for one in upstream.versions
    )
    return replace(upstream, versions=versions)


def is_expired(upstream: Upstream, now: datetime) -> bool:
    """Whether a rotation ended by itself and is still to be cleaned up."""
    return upstream.deleted_at is None and state(upstream, now) == EXPIRED


def cleaned(upstream: Upstream, *, now: datetime) -> Upstream:
    """The upstream after its grace ran out: what has ended is stored as ended."""
    versions = tuple(
        replace(one, state=VersionState.RETIRED)
        if one.state is VersionState.LIVE and not rotation.is_live(one, now)
        else one
        for one in upstream.versions
    )
    return replace(upstream, versions=versions, rollout=None, cleaned_up_at=now)


def is_kept(version: UpstreamVersion, now: datetime) -> bool:
    """Whether the secret of a version is still of use: it is live, or can be brought back."""
    if version.state in (VersionState.ABORTED, VersionState.DESTROYED):
        return False
    return version.not_after is None or now < version.not_after + rotation.UNDO_WITHIN


def _standing(upstream: Upstream, now: datetime) -> Rollout:
    if upstream.rollout is None or not rotation.rotating(upstream.versions, now):
        raise Conflict("No rotation is under way, so there is nothing to change.", code="no_rotation")
    return upstream.rollout


def _opening(plan: Plan, now: datetime) -> Rollout:
    shares = {Plan.EMERGENCY: EVERYBODY, Plan.GRADUAL: STEPS[0]}
    policy = SendPolicy.PREFER_NEW if plan in shares else None
    return Rollout(_new_id(), now, plan, policy, shares.get(plan), now if plan in shares else None)


def _returned(now: datetime) -> Rollout:
    """The primary first for every request, for whoever sends: somebody decided that it is to be used."""
    return Rollout(_new_id(), now, Plan.PLANNED, SendPolicy.PREFER_NEW, EVERYBODY, now)


def _new_id() -> str:
    return secrets.token_hex(8)
