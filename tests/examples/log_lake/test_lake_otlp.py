"""OpenTelemetry: log records in OTLP's JSON become events; metrics and traces have no place."""

from __future__ import annotations

from typing import Any

import pytest
from lake_bed import STREAM_HEADER, Lake, code
from lake_events import events, objects, own_fields

RECORD = {
    "timeUnixNano": "1544712660300000000",
    "observedTimeUnixNano": "1544712660300000000",
    "severityNumber": 10,
    "severityText": "Information",
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "body": {"stringValue": "Example log record"},
    "attributes": [
        {"key": "string.attribute", "value": {"stringValue": "some string"}},
        {"key": "boolean.attribute", "value": {"boolValue": True}},
        {"key": "int.attribute", "value": {"intValue": "10"}},
        {"key": "double.attribute", "value": {"doubleValue": 637.704}},
        {
            "key": "array.attribute",
            "value": {"arrayValue": {"values": [{"stringValue": "many"}, {"intValue": 1}]}},
        },
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
    ],
}
"""The example of the OTLP documentation, but for its scope."""
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]}


def logs(*records: Any, resource: Any = RESOURCE) -> dict[str, Any]:
    scopes = [{"scope": {"name": "my.library"}, "logRecords": list(records)}]
    return {"resourceLogs": [{"resource": resource, "scopeLogs": scopes}]}


def post(lake: Lake, body: Any, path: str = "/v1/logs", **request: Any) -> Any:
    key = lake.key("streams/web:ingest")
    return lake.request("POST", path, key, json=body, headers={STREAM_HEADER: "web"}, **request)


@pytest.mark.spec("LL-29")
def test_each_log_record_is_an_event(lake: Lake) -> None:
    answer = post(lake, logs(RECORD, {"timeUnixNano": 5, "body": {"intValue": "7"}}))
    assert (answer.status_code, answer.json()) == (200, {"partialSuccess": {}})
    first, second = (own_fields(event) for event in events(lake.service.storage))
    assert first == {
        "time_unix_nano": 1544712660300000000,
        "severity_number": 10,
        "severity_text": "Information",
        "trace_id": "5B8EFFF798038103D269B633813FC60C",
        "span_id": "EEE19B7EC3C1B174",
        "body": "Example log record",
        "attributes_string.attribute": "some string",
        "attributes_boolean.attribute": True,
        "attributes_int.attribute": 10,
        "attributes_double.attribute": 637.704,
        "attributes_array.attribute": '["many",1]',
        "attributes_map_k": "v",
        "resource_service.name": "my.service",
    }
    assert second == {"time_unix_nano": 5, "body": "7", "resource_service.name": "my.service"}
    assert {event["p_format"] for event in events(lake.service.storage)} == {"otel-logs"}


@pytest.mark.spec("LL-29")
@pytest.mark.parametrize("body", [{}, {"resourceLogs": []}, {"resourceLogs": [{}]}, logs()])
def test_a_request_without_records_succeeds_and_stores_nothing(lake: Lake, body: Any) -> None:
    answer = post(lake, body)
    assert (answer.status_code, answer.json()) == (200, {"partialSuccess": {}})
    assert objects(lake.service.storage) == []


@pytest.mark.spec("LL-29")
@pytest.mark.parametrize(
    "body",
    [
        [],
        {"resourceLogs": {}},
        {"resourceLogs": [1]},
        logs(1),
        logs({"timeUnixNano": "soon"}),
        logs({"timeUnixNano": 1.5}),
        logs({"body": "plain"}),
        logs({"body": {"stringValue": "a", "intValue": 1}}),
        logs({"body": {"strangeValue": "a"}}),
        logs({"attributes": [{"value": {"intValue": 1}}]}),
        logs({"attributes": [{"key": "a", "value": {"intValue": 1}}] * 2}),
        logs(RECORD, {"body": {"intValue": "x"}}),
    ],
)
def test_one_record_that_is_wrong_refuses_all(lake: Lake, body: Any) -> None:
    answer = post(lake, body)
    assert (answer.status_code, code(answer)) == (400, "invalid_request")
    assert objects(lake.service.storage) == []


@pytest.mark.spec("LL-29")
def test_protobuf_is_not_read(lake: Lake) -> None:
    headers = {STREAM_HEADER: "web", "Content-Type": "application/x-protobuf"}
    answer = lake.request("POST", "/v1/logs", lake.key(), content=b"\x0a\x00", headers=headers)
    assert code(answer) == "unsupported_media_type"


@pytest.mark.spec("LL-29")
@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/traces"])
def test_metrics_and_traces_are_not_implemented_for_whoever_has_a_key(lake: Lake, path: str) -> None:
    assert code(post(lake, {}, path)) == "not_implemented"
    assert lake.request("POST", path, json={}).status_code == 401
