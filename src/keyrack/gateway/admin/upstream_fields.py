"""The rules of a credit group's fields: JSON values in, values out; a field that is left out is no field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keyrack.core import fields
from keyrack.core.errors import ValidationFailed
from keyrack.core.fields import refuse
from keyrack.core.upstream import ResetFrequency, Tier
from keyrack.gateway.admin import origins
from keyrack.wishes import Reader

MIN_KEY, MAX_KEY = 16, 4096
MAX_FORMAT = 200
MAX_TIERS = 50
MAX_ORIGINS = 50
MAX_UNITS = 10**12
PLACE = "{key}"
NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9_.-]{0,49}"
HEADER_PATTERN = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}"
"""A field name (RFC 9110, 5.1)."""
TIER_MEMBERS = ("tier_name", "credits", "input_limit", "output_limit", "reset_frequency")
ROTATION_FIELDS = ("api_key_new", "api_key_rotation_expires")

_NAME = re.compile(NAME_PATTERN)
_HEADER = re.compile(HEADER_PATTERN)
_TEXT = re.compile(r"[!-~]([ -~]*[!-~])?")
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    }
)
"""Headers that say where a message ends and whose it is; the gateway writes them itself."""


@dataclass(frozen=True, slots=True)
class UpstreamWish:
    """What somebody asks a group to be, checked. Secrets are in no repr."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the record, by their names in it: header, format, origins, tiers."""
    key: str | None = field(default=None, repr=False)
    new_key: str | None = field(default=None, repr=False)
    ends_at: datetime | None = None
    cleared: frozenset[str] = frozenset()
    """The fields of a rotation that were given as null."""


def validated(given: Mapping[str, Any], *, group: str | None = None) -> UpstreamWish:
    """What is asked for a new group, or for the group of this name, which is fixed.

    Raises ValidationFailed: `rotation_fields_incomplete` for a new key without its end, or an end without a
    new key, else `validation_error`, which names every bad field.
    """
    unknown = sorted(set(given) - set(_RULES))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be set."] for name in unknown})
    read = Reader()
    values = {name: read(name, _RULES[name], value) for name, value in given.items()}
    if group is None:
        for name in _REQUIRED:
            read(name, _present, name, given)
    else:
        read("api_credit_group", _same, given.get("api_credit_group", group), group)
    read.finish()
    wish = _wish(values)
    require_both(wish.new_key, wish.ends_at)
    return wish


def require_both(new_key: str | None, ends_at: datetime | None) -> None:
    """Refuse half of a rotation. Raises ValidationFailed (`rotation_fields_incomplete`)."""
    if (new_key is None) is not (ends_at is None):
        missing = ROTATION_FIELDS[0] if new_key is None else ROTATION_FIELDS[1]
        raise ValidationFailed(
            {missing: ["A new key and the end of grace are given together."]},
            code="rotation_fields_incomplete",
        )


def name(value: object, field: str) -> str:
    """The name of a group or an API: it stands in paths."""
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise refuse(field, "Give a letter or digit, then up to 49 of letters, digits, `_`, `.` and `-`.")
    return value


def key(value: object, field: str) -> str:
    """A secret that can stand in a header: printable ASCII, not beginning or ending with a space."""
    if not isinstance(value, str) or not MIN_KEY <= len(value) <= MAX_KEY or _TEXT.fullmatch(value) is None:
        raise refuse(field, f"Give {MIN_KEY} to {MAX_KEY} printable ASCII characters.")
    return value


def header(value: object, field: str) -> str:
    """The name of a header, as it will be written; names are compared in lower case."""
    if not isinstance(value, str) or _HEADER.fullmatch(value) is None:
        raise refuse(field, "Give the name of a header, such as `x-api-key`.")
    if value.lower() in _FRAMING or value.lower().startswith("x-keyrack-"):
        raise refuse(field, "This header has a meaning of its own; a key cannot be sent in it.")
    return value


def instant(value: object, field: str) -> datetime:
    """An aware time, to the second."""
    return fields.instant(value, field).replace(microsecond=0)


def whole(value: object, field: str, *, most: int) -> int:
    """A whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise refuse(field, f"Give a whole number from 0 to {most}.")
    return value


def _wish(values: Mapping[str, Any]) -> UpstreamWish:
    return UpstreamWish(
        facts={_IN_RECORD[one]: value for one, value in values.items() if one in _IN_RECORD},
        key=values.get("api_key"),
        new_key=values.get("api_key_new"),
        ends_at=values.get("api_key_rotation_expires"),
        cleared=frozenset(one for one in ROTATION_FIELDS if one in values and values[one] is None),
    )


def _present(name: str, given: Mapping[str, Any]) -> None:
    if name not in given:
        raise refuse(name, "Give a value.")


def _same(value: object, group: str) -> None:
    if value != group:
        raise refuse("api_credit_group", "The name of a group is fixed.")


def _format(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_FORMAT or _TEXT.fullmatch(value) is None:
        raise refuse("api_key_format", f"Give at most {MAX_FORMAT} printable ASCII characters.")
    if value.count(PLACE) != 1:
        raise refuse("api_key_format", "Write {key} in it once, where the key goes.")
    return value


def _origins(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_ORIGINS:
        raise refuse("api_key_origins", f"Give a list of 1 to {MAX_ORIGINS} origins, or leave it out.")
    read = {origins.origin(one, f"api_key_origins.{index}") for index, one in enumerate(value)}
    return tuple(sorted(read))


def _tiers(value: object) -> tuple[Tier, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_TIERS:
        raise refuse("credit_tiers", f"Give a list of 1 to {MAX_TIERS} tiers.")
    read = tuple(_tier(one, f"credit_tiers.{index}") for index, one in enumerate(value))
    if len({one.name for one in read}) != len(read):
        raise refuse("credit_tiers", "Each tier has a name of its own.")
    return read


def _tier(value: object, field: str) -> Tier:
    if not isinstance(value, Mapping) or set(value) != set(TIER_MEMBERS):
        raise refuse(field, f"Give exactly {', '.join(TIER_MEMBERS)}.")
    title = fields.name(value["tier_name"], f"{field}.tier_name")
    if len(title) > 50:
        raise refuse(f"{field}.tier_name", "Give 1 to 50 printable characters.")
    return Tier(
        title,
        whole(value["credits"], f"{field}.credits", most=MAX_UNITS),
        _bound(value["input_limit"], f"{field}.input_limit"),
        _bound(value["output_limit"], f"{field}.output_limit"),
        _frequency(value["reset_frequency"], f"{field}.reset_frequency"),
    )


def _bound(value: object, field: str) -> int | None:
    return None if value is None else whole(value, field, most=MAX_UNITS)


def _frequency(value: object, field: str) -> ResetFrequency:
    if not isinstance(value, str) or value not in set(ResetFrequency):
        raise refuse(field, f"Give one of: {', '.join(ResetFrequency)}.")
    return ResetFrequency(value)


_RULES: Mapping[str, Callable[[Any], Any]] = {
    "api_credit_group": lambda value: name(value, "api_credit_group"),
    "api_key": lambda value: key(value, "api_key"),
    "api_key_header": lambda value: header(value, "api_key_header"),
    "api_key_format": _format,
    "api_key_origins": _origins,
    "api_key_new": lambda value: None if value is None else key(value, "api_key_new"),
    "api_key_rotation_expires": lambda value: (
        None if value is None else instant(value, "api_key_rotation_expires")
    ),
    "credit_tiers": _tiers,
}
_REQUIRED = ("api_credit_group", "api_key", "api_key_header", "credit_tiers")
_IN_RECORD = {
    "api_key_header": "header",
    "api_key_format": "format",
    "api_key_origins": "origins",
    "credit_tiers": "tiers",
}
