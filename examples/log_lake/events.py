"""From the body of a request to flat events: names to text, number, truth value or null (LL-19, LL-23).

Nothing here looks at a stream, a tenant or the storage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from examples.log_lake.envelope import ADDED
from examples.log_lake.problems import InvalidRequest
from keyrack import read_json

Event = dict[str, Any]
INT64 = range(-(2**63), 2**63)


def read_events(body: bytes) -> list[Event]:
    """The objects of a body: one, or an array of them. Raises InvalidRequest."""
    value = read_json(body) if body.strip() else []
    events = value if isinstance(value, list) else [value]
    if not events:
        raise InvalidRequest("The body has no event.")
    for event in events:
        if not isinstance(event, dict) or not event:
            raise InvalidRequest("An event is a JSON object with at least one field.")
    return events


def flatten(event: Mapping[str, Any], *, depth: int) -> Event:
    """One level of fields: `outer_inner` for objects, JSON text for arrays and for objects without fields.

    An event that nests deeper than `depth` objects keeps its nested values whole, as JSON text. Raises
    InvalidRequest when two fields come to one name, or one has a name that this service gives.
    """
    pairs = _leaves(event) if _is_within(event, depth) else ((name, event[name]) for name in event)
    flat: Event = {}
    for name, value in pairs:
        if name in flat:
            raise InvalidRequest("Two fields of an event have one name after flattening.")
        flat[name] = _scalar(value)
    if not ADDED.isdisjoint(flat):
        raise InvalidRequest(f"These fields are added by this service: {', '.join(sorted(ADDED))}.")
    return flat


def joined(event: Event, added: Mapping[str, Any]) -> Event:
    """An event with the fields that its request adds. Raises InvalidRequest when it has one of them."""
    if not event.keys().isdisjoint(added):
        raise InvalidRequest("An event has a field that a header of its request adds, too.")
    return {**added, **event}


def prepared(body: bytes, added: Mapping[str, Any], *, depth: int) -> list[Event]:
    """The events of a body as they are stored. Raises InvalidRequest."""
    return [joined(flatten(event, depth=depth), added) for event in read_events(body)]


def json_text(value: Any) -> str:
    """The JSON text of a value. Raises InvalidRequest for a number beyond those of JSON's readers."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        raise InvalidRequest("A number is out of range, or a value nests too deep.") from None


def _leaves(event: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in event.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", value


def _is_within(event: Mapping[str, Any], depth: int) -> bool:
    """Whether it nests at most `depth` objects, itself counted. Its own depth is no bound to a stack."""
    level = [event]
    for _ in range(depth):
        level = [value for one in level for value in one.values() if isinstance(value, dict)]
        if not level:
            return True
    return False


def _scalar(value: Any) -> Any:
    """A value that a column can hold; a whole number that no column of numbers can is text."""
    if isinstance(value, dict | list):
        return json_text(value)
    if isinstance(value, int) and value not in INT64:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest("A number is out of range.")
    return value
