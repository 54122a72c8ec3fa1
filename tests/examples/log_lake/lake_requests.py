"""For each operation: the scope that it needs, and a request that succeeds when the key is right."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

from lake_bed import STREAM_HEADER, Lake, prepared

from examples.log_lake.operations import OPERATIONS, Operation

STREAM = "web"
KEYS, TENANTS = "/api/v1/apikeys", "/api/v1/tenants"
PROTECTED = [operation for operation in OPERATIONS if operation.scope]
NAMES = [operation.name for operation in PROTECTED]
SCOPES = (
    f"streams/{STREAM}:ingest",
    f"streams/{STREAM}:query",
    "sessions:manage",
    "keys:manage",
    "tenants:manage",
    "health:read",
)
"""Every scope that an operation needs."""
_numbers = itertools.count()


def needed(operation: Operation) -> str:
    """The scope that a key needs for the request below."""
    scope = str(operation.scope).replace("<stream>", STREAM)
    return SCOPES[1] if scope.endswith(":*") else scope


def others(operation: Operation) -> list[str]:
    """All scopes that do not let a key do this."""
    return [scope for scope in SCOPES if not _suffices(operation, scope)]


def _suffices(operation: Operation, scope: str) -> bool:
    if operation.name == "list_streams":
        return scope.startswith("streams/")
    return scope == needed(operation)


def right_request(lake: Lake, name: str) -> dict[str, Any]:
    """A request, without a key, that succeeds when the key is right. What it is about is made first."""
    operation = next(one for one in OPERATIONS if one.name == name)
    number = next(_numbers)
    path, request = operation.path, _BODIES.get(name, lambda number: {})(number)
    if "{keyId}" in path:
        key_id = lake.mint().key.id
        _prepare_key(lake, name, key_id)
        path = path.replace("{keyId}", key_id)
    if "{tenant}" in path:
        path = path.replace("{tenant}", lake.tenant(f"tenant-{number}"))
    if name in ("ingest_stream", "query", "list_streams"):
        fill(lake)
    path = path.replace("{stream}", STREAM).replace("{id}", "none")
    return prepared(operation.method, path, **request)


def fill(lake: Lake, stream: str = STREAM, key: str | None = None, **headers: str) -> None:
    """Have a stream with one event."""
    request = {"json": {"a": 1}, "headers": {STREAM_HEADER: stream, **headers}}
    answer = lake.request("POST", "/api/v1/ingest", key or lake.key(), **request)
    assert answer.status_code == 200, answer.text


def with_key(request: dict[str, Any], key: str) -> dict[str, Any]:
    """The same request with this key."""
    return {**request, "headers": [*request["headers"], ("X-API-Key", key)]}


def _prepare_key(lake: Lake, name: str, key_id: str) -> None:
    """A rotation that can be promoted, aborted or undone."""
    from lake_bed import OPERATOR

    if name in ("promote_key", "abort_rotation", "undo_rotation"):
        lake.issuer.rotate(key_id, by=OPERATOR)
    if name == "undo_rotation":
        lake.issuer.promote(key_id, by=OPERATOR)


def _firehose(number: int) -> dict[str, Any]:
    request_id = f"request-{number}"
    data = base64.b64encode(b'{"a": 1}').decode()
    attributes = json.dumps({"commonAttributes": {STREAM_HEADER: STREAM}})
    return {
        "json": {"requestId": request_id, "timestamp": 1_800_000_000_000, "records": [{"data": data}]},
        "headers": {
            "X-Amz-Firehose-Protocol-Version": "1.0",
            "X-Amz-Firehose-Request-Id": request_id,
            "X-Amz-Firehose-Common-Attributes": attributes,
        },
    }


def _events(number: int) -> dict[str, Any]:
    return {"json": {"a": number}, "headers": {STREAM_HEADER: STREAM}}


def _otlp(number: int) -> dict[str, Any]:
    record = {"timeUnixNano": "1800000000000000000", "body": {"stringValue": "hello"}}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    return {"json": logs, "headers": {STREAM_HEADER: STREAM}}


_BODIES: dict[str, Any] = {
    "ingest": _events,
    "ingest_stream": _events,
    "ingest_firehose": _firehose,
    "ingest_logs": _otlp,
    "ingest_metrics": _otlp,
    "ingest_traces": _otlp,
    "query": lambda number: {
        "json": {"query": f"SELECT * FROM {STREAM}", "startTime": "10m", "endTime": "now"}
    },
    "create_key": lambda number: {"json": {"keyName": f"made {number}", "scopes": []}},
    "change_key": lambda number: {"json": {"keyName": f"changed {number}"}},
    "validate_key": lambda number: {"json": {"apiKey": "lake_live_none"}},
    "create_tenant": lambda number: {"json": {"tenantId": f"made-{number}"}},
    "change_tenant": lambda number: {"json": {"plan": "gold"}},
    "suspend_tenant": lambda number: {"json": {"service": "ingest", "reason": "unpaid"}},
    "resume_tenant": lambda number: {"json": {"service": "ingest", "reason": "paid"}},
}


def made(lake: Lake, by: str, **body: Any) -> dict[str, Any]:
    """A key that its maker asked for over HTTP."""
    answer = lake.request("POST", KEYS, by, json={"keyName": f"made {next(_numbers)}", **body})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    lake.used.secrets.append(shown["apiKey"])
    return shown


EVERY_USE: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "", None),
    ("PATCH", "", {"keyName": "x"}),
    ("DELETE", "", None),
    ("POST", "/rotation", None),
    ("POST", "/rotation/promote", None),
    ("POST", "/rotation/abort", None),
    ("POST", "/rotation/undo", None),
    ("POST", "/disable", None),
    ("POST", "/enable", None),
]
"""Method, path below a key, and body of every operation on one key."""
