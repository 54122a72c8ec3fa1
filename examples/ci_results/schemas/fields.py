"""Types that many operations share. They describe themselves in the OpenAPI document."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from examples.ci_results.clock import written

MAX_ID = 2_147_483_647
_DIGITS = re.compile(r"[1-9][0-9]{0,9}")


def _whole(value: Any) -> Any:
    """Only plain digits: a parameter such as `1_0`, `+1` or `1.0` is none."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
        raise ValueError("Give a whole number from 1 to 2147483647.")
    return value


def digits(value: Any) -> Any:
    """Only plain digits, where 0 is a number as well."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("Give a whole number, in plain digits.")
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("Give true or false.")
    return value


Id = Annotated[int, Field(ge=1, le=MAX_ID), BeforeValidator(_whole)]


def number(value: Any) -> Any:
    """In JSON, 7 and 7.0 are the same whole number; a text and a truth value are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Give a whole number.")
    return value


BodyId = Annotated[int, Field(ge=1, le=MAX_ID), BeforeValidator(number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Count = Annotated[int, Field(ge=0)]
Instant = Annotated[
    datetime,
    PlainSerializer(written, return_type=str, when_used="json"),
    Field(json_schema_extra={"format": "date-time"}),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=255)]
NO_ZERO = r"^[^\x00]*$"
"""Of texts that a database is asked about or keeps: PostgreSQL has no character zero."""


class Taken(BaseModel):
    """What an operation takes: a field that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", strict=False)


class Given(BaseModel):
    """What an operation answers: every listed field is always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OffsetQuery(Taken):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(digits)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(digits)] = 0


class Pagination(Given):
    """Which part of a list this is, and where the next one begins; null at the end."""

    limit: Count
    offset: Count
    total: Count
    next_offset: int | None


class CursorQuery(Taken):
    """From which line of a file on."""

    limit: Annotated[int, Field(ge=1, le=100), BeforeValidator(digits)] = 100
    cursor: Annotated[int, Field(ge=0, le=10_000_000), BeforeValidator(digits)] = 0


class CursorPagination(Given):
    """Where the next page begins; null at the end of the file."""

    limit: Count
    next_cursor: int | None


def pagination(query: OffsetQuery, total: int) -> Pagination:
    """The pagination of a page of a list that has so many rows in all."""
    following = query.offset + query.limit
    return Pagination(
        limit=query.limit,
        offset=query.offset,
        total=total,
        next_offset=following if following < total else None,
    )


class ErrorBody(Given):
    """Every answer that is no success (CI-10)."""

    code: str
    message: Annotated[str, Field(max_length=500)]
    details: dict[str, Any]
