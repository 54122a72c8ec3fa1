"""Whoever does not send a request to its end is not waited for without one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from patience import eventually
from server_bed import House
from server_line import Connect
from server_wire import Reply, head

from keyrack.server import protocol

JSON = ("Content-Type", "application/json")
TIMEOUT = (408, "request_timeout")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 0.01)


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
    line = connect(house.app)
    line.read(part)
    assert only(line.rest()).problem == TIMEOUT


def test_headers_that_come_drop_by_drop_have_the_same_time(
    house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 3600.0)
    line = connect(house.app)
    line.read(b"GET /livez HTTP/1.1\r\n", b"X-A: 1\r\n", b"X-B: 2\r\n")
    assert only(line.rest()).problem == TIMEOUT


def test_a_body_that_does_not_come_is_not_waited_for(house: House, connect: Connect) -> None:
    line = connect(house.app)
    line.read(begun(house, 10), b"{")
    assert only(line.rest()).problem == TIMEOUT


def test_a_request_behind_another_one_is_not_waited_for_either(house: House, connect: Connect) -> None:
    line = connect(house.app)
    line.read(head("GET", "/livez", []) + b"GET /livez")
    assert line.reply().status == 200
    assert only(line.rest()).problem == TIMEOUT


def test_a_body_that_goes_on_is_waited_for(
    house: House, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 3600.0)
    line = connect(house.app)
    line.read(begun(house, 2))
    # Its first patience is at an end, and it has got more.
    eventually(lambda: line.patience_ends() > line.now() + 60)
    line.read(b"{}")
    assert line.reply().problem == (422, "validation_error")


def test_an_answer_under_way_is_not_cut_off_for_the_next_request(connect: Connect) -> None:
    line = connect(_slow)
    line.read(head("GET", "/", []) + b"GET /")
    assert line.reply().body == b"at last"
    assert only(line.rest()).problem == TIMEOUT


def test_an_answer_that_has_begun_is_only_cut_off(connect: Connect) -> None:
    line = connect(_talking)
    line.read(head("POST", "/", [("Content-Length", "2")]))
    received = line.rest()
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1


def test_what_is_whole_has_all_the_time(connect: Connect) -> None:
    line = connect(_slow)
    line.read(head("GET", "/", []))
    assert line.reply().body == b"at last"


async def _talking(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    await receive()


async def _slow(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(10 * protocol.HEAD_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
    await send({"type": "http.response.body", "body": b"at last"})
