"""Whoever does not send a request to its end is not waited for without one."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from patience import eventually
from server_bed import House
from server_line import Connect
from server_wire import Reply, head

from keyrack.server import patience as bounds

JSON = ("Content-Type", "application/json")
TIMEOUT = (408, "request_timeout")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(bounds, "SILENT_SECONDS", 0.01)


def begun(house: House, length: int) -> bytes:
    """A request with a body of which nothing comes."""
    headers = [("X-API-Key", house.root_key), JSON, ("Content-Length", str(length))]
    return head("POST", "/v1/verify", headers)


def only(received: bytes) -> Reply:
    """The one answer in what came until the server hung up."""
    start, _, body = received.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers["connection"] == "close"
    return Reply(int(first.split(" ")[1]), headers, body)


def test_whoever_says_nothing_is_hung_up_on(house: House, connect: Connect) -> None:
    assert connect(house.app).rest() == b""


@pytest.mark.parametrize("part", [b"P", b"GET /livez HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A"])
def test_headers_that_do_not_end_are_not_waited_for(house: House, connect: Connect, part: bytes) -> None:
    line = connect(house.app, part)
    assert only(line.rest()).problem == TIMEOUT


def test_headers_that_come_drop_by_drop_have_the_same_time(
    house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SILENT_SECONDS", 3600.0)
    line = connect(house.app, b"GET /livez HTTP/1.1\r\n", b"X-A: 1\r\n", b"X-B: 2\r\n")
    assert only(line.rest()).problem == TIMEOUT


def test_a_body_that_does_not_come_is_not_waited_for(house: House, connect: Connect) -> None:
    line = connect(house.app, begun(house, 10), b"{")
    assert only(line.rest()).problem == TIMEOUT


def test_a_request_behind_another_one_is_not_waited_for_either(house: House, connect: Connect) -> None:
    line = connect(house.app, head("GET", "/livez", []) + b"GET /livez")
    assert line.reply().status == 200
    assert only(line.rest()).problem == TIMEOUT


def test_a_body_that_goes_on_is_waited_for(
    house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SILENT_SECONDS", 3600.0)
    line = connect(house.app, begun(house, 2))
    # Its first patience is at an end, and it has got more.
    eventually(lambda: line.patience_ends() > line.now() + 60)
    line.read(b"{}")
    assert line.reply().problem == (422, "validation_error")


def test_an_answer_under_way_is_not_cut_off_for_the_next_request(connect: Connect) -> None:
    line = connect(_slow, head("GET", "/", []) + b"GET /")
    assert line.reply().body == b"at last"
    assert only(line.rest()).problem == TIMEOUT


def test_an_answer_that_has_begun_is_only_cut_off(connect: Connect) -> None:
    line = connect(_talking, head("POST", "/", [("Content-Length", "2")]))
    received = line.rest()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1


def test_what_is_whole_has_all_the_time(connect: Connect) -> None:
    line = connect(_slow, head("GET", "/", []))
    assert line.reply().body == b"at last"


def test_an_empty_line_between_requests_keeps_no_connection_open(house: House, connect: Connect) -> None:
    line = connect(house.app, head("GET", "/v1/forward-auth?scope=logs:read", []), keep_alive=0.01)
    assert line.reply().status == 401
    line.read(b"\r\n")
    assert line.rest() == b""


def test_who_pipelines_has_a_time_for_each_request(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 1.0)
    line, request = connect(_saying), head("GET", "/", [])
    begun = line.now()
    line.read(request + request[:9])
    while line.now() < begun + 1.5:
        assert line.reply().status == 200
        line.read(request[9:] + request[:9])
    assert line.reply().status == 200


def test_half_a_request_behind_an_answer_has_its_time(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.2)
    line = connect(_saying, head("GET", "/", []) + b"GET / HT", keep_alive=0.01)
    assert line.reply().status == 200
    assert only(line.rest()).problem == TIMEOUT


def test_what_was_answered_is_not_answered_again(house: House, connect: Connect) -> None:
    line = connect(house.app, head("POST", "/v1/verify", [JSON, ("Content-Length", "10")]) + b"abc")
    answer = line.rest()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_behind_another_request_is_refused_in_its_turn(connect: Connect) -> None:
    line = connect(_slow, head("GET", "/a", []) + head("POST", "/b", [("Content-Length", "10")]) + b"abc")
    assert line.reply().body == b"at last"
    assert only(line.rest()).problem == TIMEOUT


def test_no_refusal_stands_in_another_answer(connect: Connect) -> None:
    line = connect(
        _talking_on,
        head("GET", "/a", []) + head("POST", "/b", [("Content-Length", "10")]) + b"abc",
        b"\r\n\r\n",
    )
    line.client.shutdown(socket.SHUT_WR)
    assert b" 408 " not in line.rest()


def test_whoever_reads_nothing_is_hung_up_on(connect: Connect) -> None:
    line = connect(_flooding, head("GET", "/", []))
    eventually(lambda: line.is_gone)


async def _saying(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def _talking_on(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while (await receive())["type"] != "http.disconnect":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def _flooding(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(100):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})


async def _talking(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    await receive()


async def _slow(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(10 * bounds.HEAD_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b"at last"})
