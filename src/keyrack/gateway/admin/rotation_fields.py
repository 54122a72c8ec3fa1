"""The rules of what is asked of a rotation: JSON values in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from keyrack.core.errors import ValidationFailed
from keyrack.core.fields import refuse
from keyrack.core.upstream import Plan
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.upstream_fields import instant, key, require_both
from keyrack.wishes import Reader

_NEW, _END, _GRACE = "api_key_new", "api_key_rotation_expires", "grace_seconds"


@dataclass(frozen=True, slots=True)
class RotationWish:
    """How somebody asks a rotation to begin."""

    new_key: str = field(repr=False)
    key: str | None = field(default=None, repr=False)
    """The present key, where it was given as a proof."""
    ends_at: datetime | None = None
    grace: timedelta | None = None
    plan: Plan = Plan.PLANNED
    force: bool = False

    def start(self, now: datetime) -> rotations.Start:
        """With an end of grace: the one that was given, else that of the plan."""
        grace = rotations.GRACE[self.plan] if self.grace is None else self.grace
        return rotations.Start(self.ends_at or now + grace, self.plan, self.force)


@dataclass(frozen=True, slots=True)
class RotationChange:
    """What is to be different about a rotation that is under way; None leaves it."""

    percent: int | None = None
    ends_at: datetime | None = None


def read_start(given: Mapping[str, Any]) -> RotationWish:
    """How a rotation is to begin. Raises ValidationFailed (`rotation_fields_incomplete`)."""
    _refuse_unknown(given, "api_key", _NEW, _END, _GRACE, "plan", "force")
    read = Reader()
    values: dict[str, Any] = {
        "new_key": read(_NEW, _optional_key, given.get(_NEW), _NEW),
        "key": read("api_key", _optional_key, given.get("api_key"), "api_key"),
        "ends_at": read(_END, _optional_instant, given.get(_END)),
        "plan": read("plan", _plan, given.get("plan", Plan.PLANNED)),
        "force": read("force", _boolean, given.get("force", False), "force"),
    }
    read(_GRACE, _one_end, given)
    read.finish()
    has_end = values["ends_at"] is not None or _END not in given
    require_both(values["new_key"], values["ends_at"] if not has_end else datetime.max)
    return RotationWish(**values, grace=_grace(given))


def read_change(given: Mapping[str, Any]) -> RotationChange:
    """What is to be different about a rotation. Raises ValidationFailed."""
    _refuse_unknown(given, "rollout_percent", _END)
    read = Reader()
    percent = read("rollout_percent", _percent, given) if "rollout_percent" in given else None
    ends_at = read(_END, instant, given[_END], _END) if _END in given else None
    read.finish()
    return RotationChange(percent, ends_at)


def _refuse_unknown(given: Mapping[str, Any], *known: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be set."] for name in unknown})


def _optional_key(value: object, name: str) -> str | None:
    return None if value is None else key(value, name)


def _optional_instant(value: object) -> datetime | None:
    return None if value is None else instant(value, _END)


def _plan(value: object) -> Plan:
    if not isinstance(value, str) or value not in set(Plan):
        raise refuse("plan", f"Give one of: {', '.join(Plan)}.")
    return Plan(value)


def _one_end(given: Mapping[str, Any]) -> None:
    """Refuse two ends, and one beside a plan that has its own."""
    ends = [name for name in (_END, _GRACE) if given.get(name) is not None]
    if len(ends) == 2:
        raise refuse(_GRACE, "Give the end of grace, or how long it lasts, not both.")
    if ends and given.get("plan", Plan.PLANNED) != Plan.PLANNED:
        raise refuse(ends[0], "This plan has a grace of its own; leave it out.")


def _grace(given: Mapping[str, Any]) -> timedelta | None:
    seconds = given.get(_GRACE)
    if seconds is None:
        return None
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise refuse(_GRACE, "Give a whole number of seconds.")
    return rotations.grace_of(seconds)


def _percent(given: Mapping[str, Any]) -> int:
    value = given["rollout_percent"]
    if not isinstance(value, int) or isinstance(value, bool) or value not in rotations.STEPS:
        raise refuse("rollout_percent", f"Give one of: {', '.join(map(str, rotations.STEPS))}.")
    return value


def _boolean(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise refuse(name, "Give true or false.")
    return value
