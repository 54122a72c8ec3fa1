"""Ingest over HTTP: what is stored, where, with which added fields, and what a refused request leaves."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from lake_bed import ADDRESS, STREAM_HEADER, Clock, Lake, OpenLake, code
from lake_events import INGEST, events, everything, objects, own_fields, send

JSON = {"Content-Type": "application/json", STREAM_HEADER: "web"}


def post(lake: Lake, key: str, content: bytes, **headers: str) -> Any:
    given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lake.request("POST", INGEST, key, content=content, headers=given)


@pytest.mark.spec("LL-18")
@pytest.mark.parametrize("body", [{"a": 1}, [{"a": 1}], [{"a": 1}, {"b": "x"}]])
def test_success_is_200_with_an_empty_body_once_the_events_are_stored(lake: Lake, body: Any) -> None:
    answer = send(lake, lake.key("streams/web:ingest"), body)
    assert (answer.status_code, answer.content) == (200, b"")
    sent = body if isinstance(body, list) else [body]
    assert [own_fields(event) for event in events(lake.service.storage)] == sent


@pytest.mark.spec("LL-18")
def test_a_body_may_be_gzip_in_several_members(lake: Lake) -> None:
    text = json.dumps([{"a": index} for index in range(1000)]).encode()
    packed = gzip.compress(text[:100]) + gzip.compress(text[100:])
    assert post(lake, lake.key(), packed, Content_Encoding="gzip").status_code == 200
    assert len(events(lake.service.storage)) == 1000


@pytest.mark.spec("LL-18")
def test_a_named_stream_must_be_there_and_ingest_makes_it(lake: Lake) -> None:
    key = lake.key("streams/web:ingest")
    assert code(lake.request("POST", "/api/v1/logstream/web", key, json={"a": 1})) == "not_found"
    assert everything(lake.service.storage).keys() == {".settings/probe"}
    assert send(lake, key, {"a": 1}).status_code == 200
    assert lake.request("POST", "/api/v1/logstream/web", key, json={"a": 2}).status_code == 200
    assert sorted(event["a"] for event in events(lake.service.storage)) == [1, 2]


@pytest.mark.spec("LL-3", "LL-18", "LL-19", "LL-20", "LL-22")
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b'[{"a":1},{"a":1,"a":2}]', {}, 400),
        (b'[{"a":1},1]', {}, 400),
        (b'[{"a":1},{"a_b":1,"a":{"b":1}}]', {}, 400),
        (b'[{"a":1},{"p_timestamp":1}]', {}, 400),
        (b'{"p":{"format":1}}', {}, 400),
        (b'{"team":1}', {"X-P-Team": "x"}, 400),
        (b'{"a":1}', {"X-P-p_format": "x"}, 400),
        (b'{"a":1}', {"Content-Type": "text/plain"}, 415),
        (b'{"a":1}', {"Content-Encoding": "br"}, 415),
        (b'{"a":1}', {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b'{"a":1}', mtime=0)[:-4], {"Content-Encoding": "gzip"}, 400),
        (b'{"a":1}', {STREAM_HEADER: "select"}, 400),
        (b'{"a":1}', {STREAM_HEADER: "lake_internal_x"}, 400),
        (b'{"a":1}', {"X-P-Log-Source": "kinesis"}, 400),
        (b'{"a":1}', {"X-P-Log-Source": "otel-logs"}, 400),
        (b'{"a":1}', {"X-P-Log-Source": "otel-metrics"}, 400),
        (b'{"a":1}', {"X-P-Log-Source": "otel-traces"}, 400),
        (b'{"a":1}', {"X-P-Log-Source": "x" * 65}, 400),
        (b'{"a":1}', {"X-P-Telemetry-Type": "dreams"}, 400),
        (b'{"a":1}', {"X-Amz-Firehose-Common-Attributes": '{"commonAttributes":{}}'}, 400),
    ],
)
def test_a_refused_request_stores_nothing_spends_nothing_and_makes_no_stream(
    open_lake: OpenLake, content: bytes, headers: dict[str, str], status: int
) -> None:
    lake = open_lake()
    lake.tenant("acme", quota={"type": "eventCount", "limit": 1, "period": "Lifetime"})
    key = lake.key("streams/*:ingest", tenant="acme")
    answer = lake.request("POST", INGEST, key, content=content, headers={**JSON, **headers})
    assert answer.status_code == status, answer.text
    assert objects(lake.service.storage) == []
    assert lake.service.storage.folders("acme/streams/") == []
    assert send(lake, key, {"a": 1}).status_code == 200


@pytest.mark.spec("LL-22")
@pytest.mark.parametrize(
    ("source", "route"),
    [("kinesis", "/api/v1/firehose"), ("otel-logs", "/v1/logs"), ("otel-metrics", "/v1/metrics")],
)
def test_a_source_with_a_route_of_its_own_is_sent_there(lake: Lake, source: str, route: str) -> None:
    assert route in send(lake, lake.key(), {"a": 1}, X_P_Log_Source=source).json()["detail"]


@pytest.mark.spec("LL-18")
def test_a_request_that_names_no_stream_is_refused(lake: Lake) -> None:
    answer = lake.request("POST", INGEST, lake.key(), json={"a": 1})
    assert code(answer) == "invalid_request"


@pytest.mark.spec("LL-19")
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_beyond_the_limit_is_refused_without_reading_the_rest(
    open_lake: OpenLake, packed: bool
) -> None:
    lake = open_lake(LAKE_MAX_BODY="1000")
    text = b'{"a":"' + b"x" * 10_000_000 + b'"}'
    content = gzip.compress(text) if packed else text
    answer = post(lake, lake.key(), content, Content_Encoding="gzip" if packed else "identity")
    assert (answer.status_code, code(answer)) == (413, "payload_too_large")
    within = b'{"a":"' + b"x" * (1000 - 8) + b'"}'
    assert post(lake, lake.key(), within).status_code == 200


@pytest.mark.spec("LL-21")
def test_every_event_gets_the_added_fields(lake: Lake, clock: Clock) -> None:
    send(lake, lake.key(), [{"a": 1}, {"a": 2}], User_Agent="robot/1", X_P_Log_Source="nginx")
    for event in events(lake.service.storage):
        assert event["p_timestamp"] == clock()
        assert event["p_user_agent"] == "robot/1"
        assert event["p_src_ip"] == ADDRESS
        assert event["p_format"] == "nginx"


@pytest.mark.spec("LL-21", "LL-7")
def test_headers_of_the_sender_become_fields_but_never_those_that_speak_to_the_service(lake: Lake) -> None:
    secret = lake.key()
    headers = {
        "X_P_Team": "blue",
        "X_P_Long": "x" * 200,
        "X_P_Tenant": "default",
        "X_P_Log_Source": "json",
        "X_P_Extract_Log": "yes",
        "X_P_Telemetry_Type": "logs",
        "X_P_Token": secret,
        "Authorization_X": "no",
    }
    assert send(lake, secret, {"a": 1}, **headers).status_code == 200
    [event] = events(lake.service.storage)
    assert own_fields(event) == {"a": 1, "team": "blue", "long": "x" * 100}


@pytest.mark.spec("LL-21")
def test_at_most_ten_headers_become_fields(lake: Lake) -> None:
    send(lake, lake.key(), {"a": 1}, **{f"X_P_H{index:02}": "x" for index in range(12)})
    [event] = events(lake.service.storage)
    assert set(own_fields(event)) == {"a", *(f"h{index:02}" for index in range(10))}


@pytest.mark.spec("LL-24")
def test_objects_lie_under_tenant_stream_date_and_hour(lake: Lake) -> None:
    lake.tenant("acme")
    send(lake, lake.key(), {"a": 1})
    send(lake, lake.key("streams/*:ingest", tenant="acme"), {"a": 1}, stream="Web")
    first, second = objects(lake.service.storage)
    assert first.startswith("acme/streams/Web/date=2030-01-01/hour=12/")
    assert second.startswith("default/streams/web/date=2030-01-01/hour=12/")


@pytest.mark.spec("LL-24")
def test_requests_that_come_together_share_an_object_unless_types_differ(lake: Lake) -> None:
    key = lake.key()
    bodies: list[Any] = [{"a": 1}, {"a": 2, "b": "x"}, {"a": None}, {"a": "text"}]
    headers = {STREAM_HEADER: "web"}
    answers = lake.send(
        *(
            {"method": "POST", "url": INGEST, "json": body, "headers": {**headers, "X-API-Key": key}}
            for body in bodies
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(objects(lake.service.storage)) < len(bodies)
    found = [own_fields(event) for event in events(lake.service.storage)]
    assert sorted(map(str, found)) == sorted(map(str, [{"a": 1}, {"a": 2, "b": "x"}, {}, {"a": "text"}]))


@pytest.mark.spec("LL-18")
def test_events_that_cannot_be_stored_are_503_and_come_with_a_new_try(lake: Lake, tmp_path: Any) -> None:
    key = lake.key()
    folder = tmp_path / "lake" / "default"
    folder.write_text("a file where a folder should be")
    answer = send(lake, key, {"a": 1})
    assert (answer.status_code, code(answer)) == (503, "unavailable")
    folder.unlink()
    assert send(lake, key, {"a": 1}).status_code == 200
    assert len(events(lake.service.storage)) == 1


@pytest.mark.spec("LL-1")
def test_a_key_sees_the_streams_that_it_may_use(lake: Lake) -> None:
    for stream in ("web", "app", "Web"):
        send(lake, lake.key(), {"a": 1}, stream=stream)

    def seen(*scopes: str) -> Any:
        return lake.request("GET", "/api/v1/logstream", lake.key(*scopes)).json()

    assert seen("streams/*:query") == [{"name": "Web"}, {"name": "app"}, {"name": "web"}]
    assert seen("streams/web:ingest", "streams/none:query") == [{"name": "web"}]
    refused = lake.request("GET", "/api/v1/logstream", lake.key("keys:manage"))
    assert code(refused) == "insufficient_scope"
