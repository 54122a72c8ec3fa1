"""Firehose: what a request must be, what it is answered, and that a repeat stores nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from lake_bed import Clock, Lake, OpenLake
from lake_events import INGEST, delivery, events, objects, own_fields

from examples.log_lake.columns import table_of
from examples.log_lake.deliveries import AlreadyStored, Deliveries
from examples.log_lake.firehose import Delivery

ATTRIBUTES = "X-Amz-Firehose-Common-Attributes"


def answered(lake: Lake, request: dict[str, Any]) -> tuple[int, str | None]:
    """The status and the message of an answer that has the form of Firehose."""
    return read(lake.send(request)[0])


def read(answer: httpx.Response) -> tuple[int, str | None]:
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    message = body.pop("errorMessage", None)
    assert set(body) == {"requestId", "timestamp"}
    assert type(body["timestamp"]) is int
    assert (answer.status_code == 200) == (message is None)
    return answer.status_code, message


@pytest.mark.spec("LL-25", "LL-27")
def test_every_record_is_an_event_with_the_request_id_and_its_time_as_text(lake: Lake, clock: Clock) -> None:
    records = [
        {"a": 1, "n": {"x": "y"}},
        {"requestId": "own", "timestamp": 5},
        {"deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": 1}}}}}}}}}}},
    ]
    request = delivery(records, lake.key("streams/web:ingest"), request_id="r-1")
    answer = lake.send(request)[0]
    assert answer.json() == {"requestId": "r-1", "timestamp": int(clock().timestamp() * 1000)}
    found = events(lake.service.storage)
    assert [own_fields(event) for event in found] == [
        {"requestId": "r-1", "timestamp": "1893499200000", "a": 1, "n_x": "y"},
        {
            "requestId": "r-1",
            "timestamp": "1893499200000",
            "record_requestId": "own",
            "record_timestamp": 5,
        },
        {
            "requestId": "r-1",
            "timestamp": "1893499200000",
            "deep": json.dumps(records[2]["deep"]).replace(" ", ""),
        },
    ]
    assert {event["p_format"] for event in found} == {"kinesis"}


@pytest.mark.spec("LL-25")
def test_a_body_may_be_gzip(lake: Lake) -> None:
    request = delivery([{"a": 1}], lake.key())
    request["content"] = gzip.compress(request["content"].encode())
    request["headers"].append(("Content-Encoding", "gzip"))
    assert answered(lake, request)[0] == 200
    assert len(events(lake.service.storage)) == 1


@pytest.mark.spec("LL-25", "LL-27")
@pytest.mark.parametrize(
    "changed",
    [
        {"headers": {"X-Amz-Firehose-Protocol-Version": "2.0"}},
        {"headers": {"X-Amz-Firehose-Protocol-Version": None}},
        {"headers": {"X-Amz-Firehose-Request-Id": None}},
        {"headers": {"X-Amz-Firehose-Request-Id": "another"}},
        {"headers": {ATTRIBUTES: None, "X-P-Stream": "web"}},
        {"headers": {ATTRIBUTES: "not json", "X-P-Stream": "web"}},
        {"headers": {ATTRIBUTES: "[]"}},
        {"headers": {ATTRIBUTES: '{"commonAttributes":[]}'}},
        {"headers": {ATTRIBUTES: '{"commonAttributes":{"X-P-Stream":1}}'}},
        {"headers": {ATTRIBUTES: '{"commonAttributes":{"X-P-Stream":"web","x-p-stream":"app"}}'}},
        {"headers": {ATTRIBUTES: '{"commonAttributes":{"X-P-Stream":"select"}}'}},
        {"headers": {ATTRIBUTES: '{"commonAttributes":{}}', "X-P-Stream": "web"}},
        {"requestId": "another"},
        {"timestamp": "1893499200000"},
        {"timestamp": None},
        {"records": None},
        {"records": []},
        {"records": [1]},
        {"records": [{"data": 1}]},
        {"records": [{}]},
        {"records": [{"data": "e30="}]},
        {"records": [{"data": "eyJhIjoxfQ=="}, {"data": "eyJhIjoxfQ="}]},
        {"records": [{"data": "eyJhIjoxfQ=="}, {"data": "no base64"}]},
        {"records": [{"data": "eyJhIjoxfQ=="}, {"data": "bm8ganNvbg=="}]},
    ],
)
def test_one_thing_that_is_wrong_fails_the_whole_request(lake: Lake, changed: dict[str, Any]) -> None:
    status, message = answered(lake, delivery([{"a": 1}], lake.key(), request_id="r-1", **changed))
    assert status == 400, message
    assert objects(lake.service.storage) == []


@pytest.mark.spec("LL-25")
def test_attributes_are_read_in_any_case_and_before_any_other_header(lake: Lake) -> None:
    attributes = '{"commonAttributes":{"x-p-STREAM":"web"}}'
    request = delivery([{"a": 1}], lake.key(), headers={ATTRIBUTES: attributes, "X-P-Stream": "other"})
    assert answered(lake, request)[0] == 200
    assert objects(lake.service.storage)[0].startswith("default/streams/web/firehose/")


@pytest.mark.spec("LL-27")
@pytest.mark.parametrize(
    ("changed", "status"),
    [({"headers": {"Content-Type": "text/plain"}}, 415), ({"headers": {"Content-Encoding": "br"}}, 415)],
)
def test_what_it_cannot_read_is_answered_in_the_form_of_firehose(
    lake: Lake, changed: dict[str, Any], status: int
) -> None:
    assert answered(lake, delivery([{"a": 1}], lake.key(), **changed))[0] == status


@pytest.mark.spec("LL-26", "LL-27")
def test_refusals_of_the_guard_are_in_the_form_of_firehose_too(lake: Lake) -> None:
    key, reader = lake.key("streams/web:ingest"), lake.key("streams/web:query")
    assert answered(lake, delivery([{"a": 1}]))[0] == 401
    assert answered(lake, delivery([{"a": 1}], key[:-1] + "-"))[0] == 401
    assert answered(lake, delivery([{"a": 1}], reader))[0] == 403
    assert answered(lake, delivery([{"a": 1}], key, headers={"X-API-Key": key}))[0] == 400
    assert answered(lake, delivery([{"a": 1}], key, attributes={"X-API-KEY": key}))[0] == 400
    assert read(lake.request("GET", "/api/v1/firehose", key))[0] == 405
    assert objects(lake.service.storage) == []


@pytest.mark.spec("LL-26")
@pytest.mark.parametrize(
    "form", ["access", "access json", "attribute", "attribute bearer", "header", "bearer"]
)
def test_a_credential_may_come_in_any_one_of_its_forms(lake: Lake, form: str) -> None:
    key = lake.key("streams/web:ingest")
    forms: dict[str, dict[str, Any]] = {
        "access": {"headers": {"X-Amz-Firehose-Access-Key": key}},
        "access json": {"headers": {"X-Amz-Firehose-Access-Key": json.dumps({"api_key": key})}},
        "attribute": {"attributes": {"x-api-key": key}},
        "attribute bearer": {"attributes": {"Authorization": f"Bearer {key}"}},
        "header": {"headers": {"X-API-Key": key}},
        "bearer": {"headers": {"Authorization": f"Bearer {key}"}},
    }
    assert answered(lake, delivery([{"a": 1}], **forms[form]))[0] == 200


@pytest.mark.spec("LL-26")
def test_elsewhere_the_access_key_is_no_credential(lake: Lake) -> None:
    headers = {"X-Amz-Firehose-Access-Key": lake.key(), "X-P-Stream": "web"}
    assert lake.request("POST", INGEST, json={"a": 1}, headers=headers).status_code == 401


@pytest.mark.spec("LL-28")
def test_the_same_request_to_two_nodes_at_once_and_again_later_gives_its_events_once(
    two_nodes: tuple[Lake, Lake], clock: Clock
) -> None:
    one, other = two_nodes
    key = one.key("streams/web:ingest")
    request = delivery([{"a": 1}, {"a": 2}], key, request_id="r-1")
    answers = one.send(*[request] * 5)
    answers += other.send(*[request] * 5)
    clock.pass_time(hours=13)  # past midnight
    answers += other.send(request)
    assert {read(answer)[0] for answer in answers} == {200}
    assert sorted(event["a"] for event in events(one.service.storage)) == [1, 2]
    assert answered(one, delivery([{"a": 1}, {"a": 2}], key, request_id="r-2"))[0] == 200
    assert len(events(one.service.storage)) == 4


@pytest.mark.spec("LL-28", "LL-17")
def test_a_repeat_spends_no_quota(lake: Lake) -> None:
    lake.tenant("acme", quota={"type": "eventCount", "limit": 2, "period": "Lifetime"})
    key = lake.key("streams/*:ingest", tenant="acme")
    for _ in range(3):
        assert answered(lake, delivery([{"a": 1}], key, request_id="r-1"))[0] == 200
    assert answered(lake, delivery([{"a": 1}], key, request_id="r-2"))[0] == 200
    assert answered(lake, delivery([{"a": 1}], key, request_id="r-3"))[0] == 402
    assert answered(lake, delivery([{"a": 1}], key, request_id="r-1"))[0] == 200
    assert len(events(lake.service.storage)) == 2


@pytest.mark.spec("LL-28")
def test_a_request_that_could_not_be_stored_is_stored_by_its_repeat(
    open_lake: OpenLake, tmp_path: Path
) -> None:
    lake = open_lake()
    request = delivery([{"a": 1}], lake.key(), request_id="r-1")
    folder = tmp_path / "lake" / "default"
    folder.write_text("a file where a folder should be")
    assert answered(lake, request)[0] == 503
    folder.unlink()
    assert answered(lake, request)[0] == 200
    assert len(events(lake.service.storage)) == 1


@pytest.mark.spec("LL-28")
def test_whoever_is_second_learns_that_and_changes_nothing(lake: Lake) -> None:
    deliveries, given = Deliveries(lake.service.storage), Delivery("r-1", "web")
    deliveries.store("default", given, table_of([{"a": 1}]))
    with pytest.raises(AlreadyStored):
        deliveries.store("default", given, table_of([{"a": 2}]))
    assert events(lake.service.storage) == [{"a": 1}]
