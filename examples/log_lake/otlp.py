"""Log records of OpenTelemetry (OTLP/HTTP 1.x, JSON encoding) as events (LL-29)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from examples.log_lake.events import Event, flatten, joined
from examples.log_lake.payload import object_of
from examples.log_lake.problems import InvalidRequest
from keyrack import read_json

SOURCE = "otel-logs"
FIELDS: Mapping[str, str] = {
    "severityText": "severity_text",
    "severityNumber": "severity_number",
    "traceId": "trace_id",
    "spanId": "span_id",
}
Node = Mapping[str, Any]


def log_events(body: bytes, added: Mapping[str, Any], *, depth: int) -> list[Event]:
    """One event for each log record; members that are not known here are ignored. Raises InvalidRequest."""
    return [joined(flatten(event, depth=depth), added) for event in _events(object_of(read_json(body)))]


def _events(document: Node) -> Iterator[Event]:
    for group in _items(document, "resourceLogs"):
        resource = _attributes(object_of(group.get("resource", {})))
        for scope in _items(group, "scopeLogs"):
            for record in _items(scope, "logRecords"):
                yield _event(record) | ({"resource": resource} if resource else {})


def _event(record: Node) -> Event:
    event: Event = {"time_unix_nano": _whole(record.get("timeUnixNano")), "body": _value(record.get("body"))}
    event |= {FIELDS[name]: record.get(name) for name in FIELDS}
    attributes = _attributes(record)
    return {**event, "attributes": attributes} if attributes else event


def _attributes(holder: Node) -> Event:
    return _pairs(holder, "attributes")


def _pairs(holder: Node, member: str) -> Event:
    pairs: Event = {}
    for pair in _items(holder, member):
        name = pair.get("key")
        if not isinstance(name, str) or name in pairs:
            raise InvalidRequest("An attribute has a key of its own, which is text.")
        pairs[name] = _value(pair.get("value"))
    return pairs


def _value(value: Any) -> Any:
    """An AnyValue: an object whose one member says its type."""
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidRequest("A value is an object with one member, such as stringValue.")
    [(kind, content)] = value.items()
    match kind:
        case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
            return content
        case "intValue":
            return _whole(content)
        case "arrayValue":
            return [_value(one) for one in object_of(content).get("values", [])]
        case "kvlistValue":
            return _pairs(object_of(content), "values")
    raise InvalidRequest("A value has a type that is not known here.")


def _whole(number: Any) -> int | None:
    """A 64-bit number, which the JSON encoding of Protobuf writes as text."""
    if number is None or type(number) is int:
        return number
    if isinstance(number, str) and number.removeprefix("-").isdecimal() and len(number) <= 20:
        return int(number)
    raise InvalidRequest("A whole number is written as a number or as decimal text.")


def _items(holder: Node, member: str) -> list[Node]:
    items = holder.get(member, [])
    if not isinstance(items, list):
        raise InvalidRequest("A list is expected where there is none.")
    return [object_of(one) for one in items]
