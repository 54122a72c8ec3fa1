"""The rules of a balance's fields: JSON values in, values out; a field that is left out stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keyrack.core import fields
from keyrack.core.errors import ValidationFailed
from keyrack.core.fields import refuse
from keyrack.gateway.admin.upstream_fields import MAX_UNITS, instant, key, whole
from keyrack.stores.balances import Amendment
from keyrack.wishes import Reader

USER_KEY = "user_api_key"


@dataclass(frozen=True, slots=True)
class BalanceWish:
    """What somebody asks a balance to be, checked. The secret is in no repr."""

    tier: str | None = None
    available: int | None = None
    resets_at: datetime | None = None
    has_key: bool = False
    """Whether the user's own key was named, were it to clear it."""
    key: str | None = field(default=None, repr=False)

    def amendment(self, user_key: int | None) -> Amendment:
        """What is to be done, where the user's own key is kept under this number."""
        resets_at = None if self.resets_at is None else self.resets_at.timestamp()
        return Amendment(self.tier, self.available, resets_at, user_key)


def validated(given: Mapping[str, Any], *, now: datetime) -> BalanceWish:
    """What is asked of a balance. Raises ValidationFailed, which names every bad field."""
    unknown = sorted(set(given) - set(_RULES))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be set."] for name in unknown})
    read = Reader()
    values = {name: read(name, _RULES[name], value) for name, value in given.items()}
    if values.get("reset_date") is not None:
        read("reset_date", _ahead, values["reset_date"], now)
    read.finish()
    return BalanceWish(
        values.get("tier_name"),
        values.get("available_credits"),
        values.get("reset_date"),
        USER_KEY in given,
        values.get(USER_KEY),
    )


def tier_required() -> ValidationFailed:
    """The refusal of a new balance that names no tier."""
    return refuse("tier_name", "There is no balance yet; a new one needs a tier.")


def _ahead(value: datetime, now: datetime) -> None:
    if value <= now:
        raise refuse("reset_date", "Give a time in the future.")


_RULES: Mapping[str, Callable[[Any], Any]] = {
    "tier_name": lambda value: fields.name(value, "tier_name"),
    "available_credits": lambda value: whole(value, "available_credits", most=MAX_UNITS),
    "reset_date": lambda value: instant(value, "reset_date"),
    USER_KEY: lambda value: None if value is None else key(value, USER_KEY),
}
