"""JSON as this service reads and writes it: one meaning for every text.

The standard reader keeps the last of two members of one name, takes NaN, and hands on lone
surrogates that no database stores; this one refuses all three (RFC 8259 leaves them open).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from examples.coordinator.problems import InvalidRequest, ValidationFailed

MAX_DEPTH = 32
_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read(raw: bytes) -> Any:
    """The value of a JSON text. Raises InvalidRequest, or ValidationFailed naming a text inside it."""
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_object, parse_constant=_number, parse_float=_number
        )
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "The body is not JSON in UTF-8, or it repeats a name or holds a number out of range."
        ) from None
    faults = {".".join(path) or "body": [message] for path, message in _faults(value)}
    if faults:
        raise ValidationFailed(faults)
    return value


def write(value: Any) -> str:
    """The shortest text of a value, its members in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def canonical(value: Any) -> str:
    """One text for equal values and for no others: unlike `==`, it tells 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _faults(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:
        path, one = waiting.pop()
        message = _text_fault(one) if isinstance(one, str) else _name_fault(one)
        if len(path) > MAX_DEPTH:
            raise InvalidRequest(f"The body nests deeper than {MAX_DEPTH} levels.")
        if message:
            yield path, message
        waiting.extend(((*path, name), member) for name, member in _members(one))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(index), member) for index, member in enumerate(value))


def _text_fault(text: str) -> str | None:
    if _UNSTORABLE.search(text):
        return "Holds NUL or a lone surrogate."
    if _LOCAL_TIME.fullmatch(text):
        return "A date and time needs an offset, such as `2030-01-31T12:00:00Z`."
    return None


def _name_fault(value: Any) -> str | None:
    if isinstance(value, dict) and any(_UNSTORABLE.search(name) for name in value):
        return "Holds a name with NUL or a lone surrogate."
    return None
