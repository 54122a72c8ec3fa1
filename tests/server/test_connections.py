"""One connection after the other reads what its client meant, and no request is taken for another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from patience import eventually
from server_bed import House
from server_line import Connect
from server_wire import head

from keyrack.server.protocol import MAX_WAITING

UPGRADE = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")]


class Recording:
    """An application that says ok, and knows what it was asked."""

    def __init__(self, waits: Callable[[Any], bool] = lambda scope: False):
        self.asked: list[str] = []
        self.told: list[str] = []
        self._waits = waits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        if self._waits(scope):
            await receive()
            self.told.append((await receive())["type"])
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("framed", [("Content-Length", "40"), ("Transfer-Encoding", "chunked")])
def test_a_body_behind_an_upgrade_is_never_a_request(connect: Connect, framed: tuple[str, str]) -> None:
    app = Recording()
    line = connect(app)
    line.read(head("POST", "/v1/verify", [*UPGRADE, framed]), head("DELETE", "/v1/keys/victim", []))
    answer = line.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"without Upgrade" in answer
    assert app.asked == []


def test_an_upgrade_without_a_body_is_answered_and_ends_the_connection(connect: Connect) -> None:
    app = Recording()
    line = connect(app)
    line.read(head("GET", "/a", UPGRADE) + head("GET", "/b", []))
    answer = line.rest()
    assert b"connection: close" in answer
    assert answer.endswith(b"\r\n\r\nok")
    assert app.asked == ["GET /a"]


def test_behind_a_request_that_is_no_http_nothing_is_done(connect: Connect) -> None:
    app = Recording()
    line = connect(app)
    line.read(head("POST", "/a", [*UPGRADE, ("Content-Length", "2")]) + head("DELETE", "/b", []))
    assert line.rest().startswith(b"HTTP/1.1 400 ")
    assert app.asked == []


def test_of_requests_that_wait_few_are_taken_in(connect: Connect) -> None:
    line = connect(Recording())
    line.write(b"GET / HTTP/1.1\r\n\r\n" * 20_000)
    most = 0
    for _ in range(20_000):
        most = max(most, len(line.protocol.pipeline))
        assert line.reply().status == 200
    # One read of 256 KiB holds so many, and reading goes on when nearly all of them are answered.
    assert most < (1 << 18) // 18 + MAX_WAITING


def test_the_one_that_is_worked_on_is_told_that_its_client_went(connect: Connect) -> None:
    app = Recording(lambda scope: scope["path"] == "/long")
    line = connect(app)
    line.read(head("GET", "/long", []) + head("GET", "/next", []))
    eventually(lambda: app.asked == ["GET /long"])
    line.client.close()
    eventually(lambda: app.told == ["http.disconnect"])
    assert not line.protocol.tasks


@pytest.mark.parametrize("length", [65_000, 70_000])
@pytest.mark.parametrize("rest", [b"", b"{}"])
def test_a_long_url_is_answered_however_it_comes(
    house: House, connect: Connect, length: int, rest: bytes
) -> None:
    target = "/v1/verify?a=" + "a" * length
    data = head("POST", target, [("Content-Length", "2"), ("Content-Type", "application/json")]) + rest
    line = connect(house.app)
    line.read(data)
    if not rest and length < 65_535:
        line.read(b"{}")
    expected = (401, "missing_credentials") if length < 65_535 else (400, "invalid_request")
    assert line.reply().problem == expected
