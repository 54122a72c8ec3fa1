"""What is done to a group stands in the log: once, with who and from where, for good, without a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_bed import OPERATOR
from server.server_bed import House, problem
from upstream_bed import DAY, HOUR, PLACE, ROTATION, Desks, group, key, made, rotated

from keyrack.core.events import EventKind
from keyrack.gateway.admin.rotation_fields import read_start
from keyrack.gateway.admin.upstream_fields import validated
from keyrack.server.upstream_bodies import GroupBody, GroupPutBody, RotationStartBody


def history(house: House) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = house.root("GET", f"{PLACE}/history", params={"limit": 100}).json()["data"]
    return page


@pytest.mark.spec("UG-5")
@pytest.mark.parametrize(
    ("method", "path", "body", "action", "versions"),
    [
        ("PUT", PLACE, {"api_key_header": "x-api-key"}, "updated", [1]),
        ("PUT", PLACE, {"api_key": key(2)}, "updated", [2]),
        ("POST", ROTATION, {"api_key_new": key(2)}, "rotation_started", [1, 2]),
        ("DELETE", PLACE, None, "deleted", [1]),
    ],
)
def test_a_change_is_one_event_with_all_that_there_is_to_say(
    house: House, method: str, path: str, body: Any, action: str, versions: list[int]
) -> None:
    made(house)
    answer = house.caller(house.root_key, peer="192.0.2.7")(method, path, body)
    assert answer.status_code < 300
    created, event = history(house)
    assert (created["action"], created["versions"]) == ("upstream.created", [1])
    assert {name: event[name] for name in ("action", "versions", "status", "actor", "target")} == {
        "action": f"upstream.{action}",
        "versions": versions,
        "status": "succeeded",
        "actor": f"key:{house.root_id}",
        "target": "default/openai",
    }
    assert (event["address"], event["path"]) == ("192.0.2.7", path)
    assert event["request_id"] == answer.headers["x-request-id"]


@pytest.mark.spec("UG-5")
@pytest.mark.parametrize(
    ("operation", "body", "action", "versions"),
    [
        ("", {"rollout_percent": 25}, "rotation_changed", [1, 2]),
        ("/promote", None, "promoted", [2]),
        ("/promote", {"destroy": True}, "promoted", [2]),
        ("/abort", None, "aborted", [1]),
    ],
)
def test_a_change_of_a_rotation_is_one_event(
    house: House, operation: str, body: Any, action: str, versions: list[int]
) -> None:
    made(house)
    rotated(house)
    answer = house.root("POST" if operation else "PATCH", f"{ROTATION}{operation}", body)
    assert answer.status_code == 200
    *_, started, event = history(house)
    assert started["action"] == "upstream.rotation_started"
    assert (event["action"], event["versions"]) == (f"upstream.{action}", versions)
    assert event["path"] == f"{ROTATION}{operation}"
    assert len(history(house)) == 3


@pytest.mark.spec("UG-5")
def test_undo_and_clean_up_are_one_event_each(quick: Desks) -> None:
    quick.create()
    quick.rotate(2)
    quick.bed.passes(HOUR)
    assert quick.tidy() == 1
    quick.upstreams.undo("openai", by=OPERATOR)
    assert quick.actions() == ["created", "rotation_started", "cleaned_up", "undone"]
    assert quick.history()[2].actor == "service:gateway"


@pytest.mark.spec("UG-5", "UG-10")
def test_no_event_and_no_log_holds_a_secret_whatever_field_it_stood_in(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    hexadecimal, jwt = "0123456789abcdef" * 4, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
    made(house, api_key=jwt, api_key_format=f"Basic {hexadecimal} {{key}}")
    rotated(house, 2)
    house.root("PUT", PLACE, {"api_key": key(2), "api_key_new": None, "api_key_rotation_expires": None})
    log = json.dumps(house.root("GET", "/v1/events", params={"limit": 100}).json())
    for secret in (jwt, key(2), hexadecimal, house.root_key):
        assert secret not in log
        assert secret not in caplog.text
        assert secret not in repr([vars(record) for record in caplog.records])
    assert history(house)[0]["data"]["given"]["api_key"] == "[redacted]"
    assert history(house)[2]["data"]["given"] == {
        "api_key": "[redacted]",
        "api_key_new": None,
        "api_key_rotation_expires": None,
    }


@pytest.mark.spec("UG-5")
def test_what_was_refused_is_not_in_the_log(house: House) -> None:
    made(house)
    assert problem(house.root("POST", f"{ROTATION}/abort")) == (409, "no_rotation")
    assert [one["action"] for one in history(house)] == ["upstream.created"]


@pytest.mark.spec("UG-5")
def test_the_history_is_readable_after_400_days_and_after_the_group_is_gone(house: House) -> None:
    made(house)
    house.clock.advance(401 * DAY)
    house.verifier.follower.poll()
    assert [one["action"] for one in history(house)] == ["upstream.created"]
    house.root("DELETE", PLACE)
    assert [one["action"] for one in history(house)] == ["upstream.created", "upstream.deleted"]
    assert house.root("POST", "/v1/credits", group()).status_code == 201
    assert len(history(house)) == 3


def test_the_history_is_read_in_pages(house: House) -> None:
    made(house)
    for number in range(4):
        house.root("PUT", PLACE, {"api_key_header": f"x-{number}"})
    first = house.root("GET", f"{PLACE}/history", params={"limit": 3}).json()
    rest = house.root("GET", f"{PLACE}/history", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    numbers = [one["number"] for one in first["data"] + rest["data"]]
    assert (len(numbers), rest["next_cursor"]) == (5, None)
    assert numbers == sorted(set(numbers))


def test_the_events_of_apis_name_what_was_asked_for(house: House) -> None:
    wish = {"api_name": "chat", "api_version": "v1", "api_servers": ["https://a.example:443"]}
    house.root("POST", "/v1/apis", wish)
    house.root("PUT", "/v1/apis/chat/v1", {"active": False})
    house.root("DELETE", "/v1/apis/chat/v1")
    log = house.root("GET", "/v1/events", params={"subject": "default/chat/v1"}).json()["data"]
    kinds = [EventKind.API_CREATED, EventKind.API_UPDATED, EventKind.API_DELETED]
    assert [one["kind"] for one in log] == kinds
    assert log[0]["data"] == {"given": wish, "path": "/v1/apis"}
    assert log[1]["data"]["given"] == {"active": False}


@pytest.mark.spec("UG-10")
def test_no_repr_of_what_was_asked_for_shows_a_key() -> None:
    given = {"api_key": key(1), "api_key_new": key(2)}
    bodies = (
        GroupBody.model_validate(group(**given)),
        GroupPutBody.model_validate(given),
        RotationStartBody.model_validate(given),
        validated({**group(**given), "api_key_rotation_expires": "2100-01-01T00:00:00Z"}),
        read_start({**given, "grace_seconds": HOUR}),
    )
    for body in bodies:
        assert key(1) not in repr(body)
        assert key(2) not in repr(body)
