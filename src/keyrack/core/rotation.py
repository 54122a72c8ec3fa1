"""The life of a secret version: pure functions from versions and a time to versions.

One live version is undated: the primary. Every other live version has an end, and counts as retired
from that instant on without anybody acting. (Imported keys may have two undated ones; the newer is the
primary.) Versions stand in the order in which they became the primary. Nothing here reads a clock or
a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar

from keyrack.core.errors import Conflict, ValidationFailed
from keyrack.core.model import VersionState

MAX_LIVE = 5
MIN_GRACE = timedelta(hours=1)
MAX_GRACE = timedelta(days=7)
DEFAULT_GRACE = timedelta(days=1)
UNDO_WITHIN = timedelta(days=1)
RECOGNISED_FOR = timedelta(days=30)
"""How long after its end a version is still told from an unknown text."""


class Version(Protocol):
    """One version of a secret, of a key or of an upstream: a frozen dataclass with these fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def number(self) -> int:
        """1, 2, 3 …; never given twice."""

    @property
    def state(self) -> VersionState:
        """As it is stored."""

    @property
    def not_after(self) -> datetime | None:
        """When it ends, or ended."""


V = TypeVar("V", bound=Version)


def is_live(version: Version, now: datetime) -> bool:
    """Whether this version proves its key at that time."""
    return version.state is VersionState.LIVE and (version.not_after is None or now < version.not_after)


def live(versions: tuple[V, ...], now: datetime) -> tuple[V, ...]:
    """The versions that prove their key at that time, the primary last."""
    return tuple(version for version in versions if is_live(version, now))


def recognised(versions: tuple[V, ...], now: datetime) -> tuple[V, ...]:
    """The versions worth comparing with: live, or ended within the last 30 days."""
    return tuple(
        version
        for version in versions
        if version.not_after is None or now < version.not_after + RECOGNISED_FOR
    )


def rotating(versions: tuple[Version, ...], now: datetime) -> bool:
    """Whether more than one version is live."""
    return len(live(versions, now)) > 1


def next_number(versions: tuple[Version, ...]) -> int:
    """The number of the version that comes next; numbers are never given twice."""
    return max((version.number for version in versions), default=0) + 1


def check_grace(grace: timedelta, *, compromised: bool) -> None:
    """Refuse a grace outside 1 h to 7 d; 0 is for a compromised key, and only for one."""
    if compromised:
        if grace:
            raise ValidationFailed({"grace_seconds": ["A compromised secret gets no grace: give 0."]})
    elif not MIN_GRACE <= grace <= MAX_GRACE:
        raise ValidationFailed(
            {
                "grace_seconds": [
                    "Give 3600 to 604800 seconds (1 hour to 7 days), or 0 together with compromised."
                ]
            }
        )


def start(versions: tuple[V, ...], new: V, *, now: datetime, ends_at: datetime, force: bool) -> tuple[V, ...]:
    """Add a version and date the primary; versions dated earlier keep their own end."""
    standing = live(versions, now)
    if len(standing) >= MAX_LIVE:
        raise Conflict(
            f"This key has {MAX_LIVE} live secrets; promote or abort before the next one.",
            code="version_limit",
        )
    if len(standing) > 1 and not force:
        raise Conflict(
            "A rotation is under way: promote or abort it, or start another with force.",
            code="rotation_active",
        )
    return (*(_dated(version, ends_at) for version in versions), new)


def replace_compromised(versions: tuple[V, ...], new: V, *, now: datetime) -> tuple[V, ...]:
    """Destroy every other version at once, live or retired; none of them proves again."""
    return (*(_ended(version, VersionState.DESTROYED, now) for version in versions), new)


def promote(versions: tuple[V, ...], now: datetime, *, destroy: bool = False) -> tuple[V, ...]:
    """End grace early: only the primary stays live. With `destroy` nothing brings the others back."""
    if not rotating(versions, now):
        raise Conflict("No rotation is under way, so there is nothing to promote.", code="no_rotation")
    primary = live(versions, now)[-1]
    state = VersionState.DESTROYED if destroy else VersionState.RETIRED
    return tuple(
        _ended(version, state, now) if is_live(version, now) and version is not primary else version
        for version in versions
    )


def abort(versions: tuple[V, ...], now: datetime) -> tuple[V, ...]:
    """Drop the newest live version; the one before it is the primary again."""
    standing = live(versions, now)
    if len(standing) < 2:
        raise Conflict("No rotation is under way, so there is nothing to abort.", code="no_rotation")
    newest = max(standing, key=lambda version: version.number)
    primary = [version for version in standing if version is not newest][-1]
    return _reinstated(versions, primary, {newest.number: _ended(newest, VersionState.ABORTED, now)})


def undo(versions: tuple[V, ...], now: datetime, *, ends_at: datetime) -> tuple[V, ...]:
    """Bring back the version before the primary, within a day of its end.

    It becomes the primary again; the one that replaced it stays live until ends_at, so that callers
    who had moved on can move back.
    """
    if rotating(versions, now):
        raise Conflict("A rotation is under way: abort it instead.", code="rotation_active")
    primary = live(versions, now)[-1]
    before = [version for version in versions if _was_primary_before(primary, version)]
    if not before:
        raise Conflict("This key has never been rotated.", code="no_rotation")
    last = before[-1]
    destroyed = last.state is VersionState.DESTROYED
    if destroyed or last.not_after is None or now >= last.not_after + UNDO_WITHIN:
        raise Conflict(
            "The previous secret can be brought back within a day of its end, unless it was destroyed.",
            code="undo_expired",
        )
    return _reinstated(versions, last, {primary.number: replace(primary, not_after=ends_at)})


def end_version(versions: tuple[V, ...], number: int, now: datetime) -> tuple[V, ...]:
    """End one live version now and for good, by the wish of whoever holds it: undo leaves it ended."""
    return tuple(
        _ended(version, VersionState.DESTROYED, now)
        if version.number == number and is_live(version, now)
        else version
        for version in versions
    )


def _was_primary_before(primary: Version, version: Version) -> bool:
    return version.number < primary.number and version.state is not VersionState.ABORTED


def _reinstated(versions: tuple[V, ...], primary: V, changed: Mapping[int, V]) -> tuple[V, ...]:
    """The versions with one of them the primary again, so the last in order, and others changed."""
    others = (changed.get(version.number, version) for version in versions if version is not primary)
    return (*others, replace(primary, state=VersionState.LIVE, not_after=None))


def _dated(version: V, ends_at: datetime) -> V:
    undated = version.state is VersionState.LIVE and version.not_after is None
    return replace(version, not_after=ends_at) if undated else version


def _ended(version: V, state: VersionState, now: datetime) -> V:
    end = now if version.not_after is None else min(now, version.not_after)
    return replace(version, state=state, not_after=end)
