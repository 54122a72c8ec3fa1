"""What is stored, read from the objects themselves, and requests that send events."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from lake_bed import STREAM_HEADER, Lake, prepared

from examples.log_lake import parquet
from examples.log_lake.storage import Storage

INGEST, FIREHOSE, QUERY = "/api/v1/ingest", "/api/v1/firehose", "/api/v1/query"


def objects(storage: Storage, prefix: str = "") -> list[str]:
    """The paths of all objects with events."""
    return [one.path for one in storage.list(prefix) if one.path.endswith(".parquet")]


def events(storage: Storage, prefix: str = "") -> list[dict[str, Any]]:
    """All events below a prefix, with their null fields left out."""
    rows = (
        row for path in objects(storage, prefix) for row in parquet.decode(storage.load(path)).to_pylist()
    )
    return [{name: row[name] for name in row if row[name] is not None} for row in rows]


def everything(storage: Storage) -> dict[str, bytes]:
    """Every object, with its bytes."""
    return {one.path: storage.load(one.path) for one in storage.list("")}


def own_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the sender said."""
    return {name: event[name] for name in event if not name.startswith("p_")}


def send(lake: Lake, key: str, body: Any, *, stream: str = "web", **headers: str) -> httpx.Response:
    """Ingest a body."""
    given = {STREAM_HEADER: stream, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lake.request("POST", INGEST, key, json=body, headers=given)


def delivery(
    records: Sequence[Any], key: str | None = None, /, *, request_id: str | None = None, **changed: Any
) -> dict[str, Any]:
    """A request as Firehose sends it."""
    request_id = request_id or str(uuid.uuid4())
    attributes = {"commonAttributes": {STREAM_HEADER: "web", **changed.pop("attributes", {})}}
    headers = {
        "X-Amz-Firehose-Protocol-Version": "1.0",
        "X-Amz-Firehose-Request-Id": request_id,
        "X-Amz-Firehose-Source-Arn": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/x",
        "X-Amz-Firehose-Common-Attributes": json.dumps(attributes),
        "Content-Type": "application/json",
        **changed.pop("headers", {}),
    }
    if key is not None:
        headers["X-Amz-Firehose-Access-Key"] = key
    data = [{"data": encoded(record)} for record in records]
    body = {"requestId": request_id, "timestamp": 1893499200000, "records": data, **changed}
    present = {name: value for name, value in headers.items() if value is not None}
    return prepared("POST", FIREHOSE, content=json.dumps(body), headers=present)


def encoded(record: Any) -> str:
    """A record's data; a text that is given is taken as it is."""
    return record if isinstance(record, str) else base64.b64encode(json.dumps(record).encode()).decode()


def ask(lake: Lake, key: str, sql: str, **request: Any) -> httpx.Response:
    """Query the last hour, unless told otherwise."""
    body = {"query": sql, "startTime": "1h", "endTime": "now", **request.pop("body", {})}
    return lake.request("POST", QUERY, key, json=body, params=request)
