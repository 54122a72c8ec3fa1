"""What Amazon Data Firehose sends (HTTP endpoint delivery, version 1.0), as events (LL-25, LL-27)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers

from examples.log_lake.envelope import ATTRIBUTES
from examples.log_lake.events import Event, flatten, joined, read_events
from examples.log_lake.firehose_attributes import read_attributes
from examples.log_lake.names import stream_name
from examples.log_lake.problems import InvalidRequest
from keyrack import read_json

VERSION = "1.0"
SOURCE = "kinesis"
REQUEST_ID = "x-amz-firehose-request-id"
PROTOCOL_VERSION = "x-amz-firehose-protocol-version"
RENAMED: Mapping[str, str] = {"requestId": "record_requestId", "timestamp": "record_timestamp"}
"""What the fields of a record are called that have the names of those that its request adds."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the headers of a request say. The id stays the same over retries."""

    request_id: str
    stream: str


def read_delivery(headers: Headers) -> Delivery:
    """The headers of a request, the common attributes first. Raises InvalidRequest."""
    attributes = read_attributes(headers.raw)
    if attributes is None:
        raise InvalidRequest(f"The header {ATTRIBUTES} is not readable.")
    stream = attributes.get("x-p-stream")
    if stream is None:
        raise InvalidRequest("Name the stream in the common attribute X-P-Stream.")
    if headers.get(PROTOCOL_VERSION) != VERSION:
        raise InvalidRequest(f"The header {PROTOCOL_VERSION} must be {VERSION}.")
    request_id = headers.get(REQUEST_ID, "")
    if not request_id:
        raise InvalidRequest(f"The header {REQUEST_ID} is missing.")
    return Delivery(request_id, stream_name(stream))


def delivered_events(body: bytes, delivery: Delivery, added: Mapping[str, Any], *, depth: int) -> list[Event]:
    """All events of a request; one record that is bad makes all of it so. Raises InvalidRequest."""
    document = read_json(body)
    if not isinstance(document, dict) or document.get("requestId") != delivery.request_id:
        raise InvalidRequest("The body is an object whose requestId is that of the header.")
    timestamp, records = document.get("timestamp"), document.get("records")
    if type(timestamp) is not int or not isinstance(records, list) or not records:
        raise InvalidRequest("The body has a timestamp in milliseconds and records.")
    given = {"requestId": delivery.request_id, "timestamp": str(timestamp)}
    return [
        joined(given | _renamed(flatten(event, depth=depth)), added)
        for record in records
        for event in _events(record)
    ]


def _events(record: Any) -> Iterator[Event]:
    data = record.get("data") if isinstance(record, dict) else None
    if not isinstance(data, str):
        raise InvalidRequest("A record is an object with data in base64.")
    yield from read_events(_decoded(data))


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise InvalidRequest("The data of a record is not base64.") from None


def _renamed(event: Event) -> Event:
    if any(event.keys() >= {name, other} for name, other in RENAMED.items()):
        raise InvalidRequest("Two fields of a record come to one name.")
    return {RENAMED.get(name, name): value for name, value in event.items()}
