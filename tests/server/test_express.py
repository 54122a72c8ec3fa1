"""Requests that are answered where they are read get the answers that Uvicorn's way gives, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from hypothesis import given
from hypothesis import strategies as st
from server_bed import Caller, House, Inside, make_store
from server_line import Connect, connections
from server_wire import Reply, as_json, chunked, head

from keyrack import Verifier
from keyrack.server.app import create_app
from keyrack.server.hot import IMMEDIATE
from keyrack.settings import Settings
from keyrack.testing import PEPPERS

JSON = ("Content-Type", "application/json")
VERIFY, FORWARD_AUTH = "/v1/verify", "/v1/forward-auth?scope=logs:read"


class Requests:
    """Requests of many kinds, each with an id by which its answer is known."""

    def __init__(self, root_key: str, root: Caller):
        self._root = ("Authorization", f"Bearer {root_key}")
        self._key = root.mint("logs:read")
        limits = [{"name": "much", "limit": 900_000, "window_seconds": 60}]
        self._limited = root.mint("logs:read", limits=limits)
        self.kinds: dict[str, Callable[[str], bytes]] = {
            "verify": lambda name: self._verify(name, as_json({"key": self._key["secret"]})),
            "verify a scope": lambda name: self._verify(
                name, as_json({"key": self._key["secret"], "scopes": ["logs:write"]})
            ),
            "verify, explained": lambda name: self._verify(name, as_json({"key": "kr", "explain": True})),
            "verify in chunks": lambda name: (
                head(
                    "POST",
                    VERIFY,
                    [self._root, JSON, ("Transfer-Encoding", "chunked"), ("X-Request-ID", name)],
                )
                + chunked(as_json({"key": self._key["secret"]}), 7)
            ),
            "no JSON": lambda name: self._verify(name, b"{"),
            "too long": lambda name: self._verify(name, b" " * 70_000),
            "another type": lambda name: self._post(name, b"{}", self._root, ("Content-Type", "text/plain")),
            "nobody": lambda name: self._post(name, b"{}", JSON),
            "a wrong key": lambda name: self._post(name, b"{}", ("X-API-Key", "kr_live_x"), JSON),
            "two keys": lambda name: self._post(name, b"{}", self._root, ("X-API-Key", "a"), JSON),
            "many headers": lambda name: self._post(name, b"{}", *[("X-More", "1")] * 101),
            "forward-auth": lambda name: self._get(
                FORWARD_AUTH, name, ("X-API-Key", self._limited["secret"])
            ),
            "forward-auth, refused": lambda name: self._get(
                FORWARD_AUTH.replace("read", "write"), name, ("X-API-Key", self._key["secret"])
            ),
            "forward-auth, odd": lambda name: self._get(FORWARD_AUTH, name, ("X-Forwarded-Uri", "/a/../b")),
            "forward-auth, without a scope": lambda name: self._get("/v1/forward-auth", name, self._root),
            "a key in the query": lambda name: self._get(f"{FORWARD_AUTH}&token=x", name, self._root),
        }
        self.slow: dict[str, Callable[[str], bytes]] = {
            "nothing": lambda name: self._get("/v1/nothing", name, self._root),
            "me": lambda name: self._get("/v1/me", name, self._root),
            "a batch": lambda name: self._post(name, b"[]", self._root, JSON, path="/v1/verify/batch"),
            "HEAD": lambda name: head("HEAD", FORWARD_AUTH, [self._root, ("X-Request-ID", name)]),
        }

    def _verify(self, name: str, body: bytes) -> bytes:
        return self._post(name, body, self._root, JSON)

    def _post(self, name: str, body: bytes, *headers: tuple[str, str], path: str = VERIFY) -> bytes:
        length = ("Content-Length", str(len(body)))
        return head("POST", path, [*headers, length, ("X-Request-ID", name)]) + body

    def _get(self, target: str, name: str, *headers: tuple[str, str]) -> bytes:
        return head("GET", target, [*headers, ("X-Request-ID", name)])


class Bed(NamedTuple):
    """An application, and what it is asked."""

    app: Any
    asked: Requests
    waits: bool


@pytest.fixture(scope="module", params=["at once", "after a wait"])
def bed(
    request: pytest.FixtureRequest, portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bed]:
    """One that decides at once, and one that holds so few keys that it reads each from its store first."""
    founded = make_store(tmp_path_factory.mktemp("express"))
    most = 1 if request.param == "after a wait" else None
    with Verifier.open(founded.url, peppers=PEPPERS, replica_max_keys=most) as verifier:
        app = create_app(Settings(), verifier)
        root = httpx.Client(
            transport=Inside(app, portal),
            base_url="http://inside",
            headers={"authorization": f"Bearer {founded.root}"},
        )
        yield Bed(app, Requests(founded.root, Caller(root)), most is not None)


KINDS = (
    "verify",
    "verify a scope",
    "verify, explained",
    "verify in chunks",
    "no JSON",
    "too long",
    "another type",
    "nobody",
    "a wrong key",
    "two keys",
    "many headers",
    "forward-auth",
    "forward-auth, refused",
    "forward-auth, odd",
    "forward-auth, without a scope",
    "a key in the query",
)
SLOW = ("nothing", "me", "a batch", "HEAD")


def test_every_kind_is_asked(bed: Bed) -> None:
    assert (*bed.asked.kinds,) == KINDS
    assert (*bed.asked.slow,) == SLOW


@pytest.mark.parametrize("kind", KINDS)
@given(share=st.floats(0.05, 0.999))
def test_a_request_that_comes_in_two_parts_gets_the_same_answer(
    bed: Bed, portal: BlockingPortal, kind: str, share: float
) -> None:
    data = bed.asked.kinds[kind]("one")
    begun = data.index(b"\r\n\r\n") + 4
    with connections(portal) as connect:
        whole, parted = connect(bed.app), connect(bed.app)
        whole.read(data)
        at_once = whole.reply()
        cut = max(1, int(len(data) * share))
        parted.read(data[:cut], data[cut:])
        assert not whole.went_uvicorns_way or bed.waits
        assert parted.went_uvicorns_way == (cut >= begun) or bed.waits
        assert _lasting(parted.reply()) == _lasting(at_once)
        # Of a request with too many headers none is looked at.
        assert (at_once.headers["x-request-id"] == "one") == (kind != "many headers")


@given(names=st.lists(st.sampled_from((*KINDS, *SLOW)), min_size=2, max_size=12), data=st.data())
def test_answers_come_in_the_order_of_the_requests(
    bed: Bed, portal: BlockingPortal, names: list[str], data: st.DataObject
) -> None:
    # One ends the connection where its body is not read, and the other gets an id of ours.
    names = [name for name in names if name not in ("too long", "many headers")]
    kinds = bed.asked.kinds | bed.asked.slow
    sent = b"".join(kinds[name](f"r{place}") for place, name in enumerate(names))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))
    parts = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    with connections(portal) as connect:
        line = connect(bed.app)
        line.read(*filter(None, parts))
        for place, name in enumerate(names):
            reply = line.reply(method="HEAD" if name == "HEAD" else "GET")
            assert reply.headers["x-request-id"] == f"r{place}", (names, name)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /v1/forward-auth?scope=logs:read HTTP/1.0\r\n\r\n",
        b"GET /v1/forward-auth?scope=logs:read HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)
def test_a_connection_that_is_to_end_ends(house: House, connect: Connect, request_head: bytes) -> None:
    line = connect(house.app)
    line.read(request_head)
    assert line.went_uvicorns_way
    assert line.rest().startswith(b"HTTP/1.1 401 ")


def test_a_body_that_has_to_be_asked_for_is_asked_for(house: House, connect: Connect) -> None:
    line = connect(house.app)
    headers = [("X-API-Key", house.root_key), JSON, ("Content-Length", "2"), ("Expect", "100-continue")]
    line.read(head("POST", VERIFY, headers))
    assert line.client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.read(b"{}")
    assert line.reply().problem == (422, "validation_error")


def test_whoever_asks_nothing_more_is_hung_up_on(house: House, connect: Connect) -> None:
    line = connect(house.app, head("GET", FORWARD_AUTH, []), keep_alive=0.01)
    assert not line.went_uvicorns_way
    assert line.rest().startswith(b"HTTP/1.1 401 ")


def test_a_body_that_is_no_http_is_refused_once(house: House, connect: Connect) -> None:
    line = connect(house.app)
    headers = [("X-API-Key", house.root_key), JSON, ("Transfer-Encoding", "chunked")]
    line.read(head("POST", VERIFY, headers) + b"2\r\n{}\r\nno length\r\n")
    answer = line.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


async def _silent(scope: Any, receive: Any, send: Any) -> None:
    """Sends nothing."""


async def _failing(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("broken")


async def _slow(scope: Any, receive: Any, send: Any) -> None:
    name = dict(scope["headers"])[b"x-name"]
    for _ in range(3):
        await asyncio.sleep(0)
        name = await asyncio.to_thread(bytes, name)
    await _say(send, name)


async def _disappointed(scope: Any, receive: Any, send: Any) -> None:
    for _ in range(2):
        try:
            await asyncio.to_thread(int, "none")
        except ValueError:
            continue
    await _say(send, b"after all")


async def _stopped(scope: Any, receive: Any, send: Any) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        await _say(send, b"stopping")


async def _say(send: Any, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def _saying(value: bytes) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-said", value)]})
        await send({"type": "http.response.body", "body": b""})

    return app


class Immediate:
    """An application that says that it never waits."""

    immediate = IMMEDIATE

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@pytest.mark.parametrize(
    "broken", [_silent, _failing, _saying(b"a\r\nx: b"), _saying(b"a\nb"), _saying(b"\0")]
)
def test_a_fault_of_ours_is_no_fault_of_the_client(
    connect: Connect, broken: Callable[..., Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    line = connect(Immediate(broken))
    line.read(head("GET", FORWARD_AUTH, []) * 2)
    answer = line.rest()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert "a request failed" in caplog.text


def test_a_tab_is_no_control_character(connect: Connect) -> None:
    line = connect(Immediate(_saying(b"a\tb")))
    line.read(head("GET", FORWARD_AUTH, []))
    assert line.client.recv(1000) == b"HTTP/1.1 200 OK\r\nx-said: a\tb\r\n\r\n"


def test_what_waits_after_all_is_waited_for(connect: Connect) -> None:
    line = connect(Immediate(_slow))
    line.read(*[head("GET", FORWARD_AUTH, [("X-Name", name)]) for name in ("a", "b")])
    assert [line.reply().body for _ in range(2)] == [b"a", b"b"]
    assert line.went_uvicorns_way


def test_what_goes_wrong_while_it_waits_is_its_own_to_handle(connect: Connect) -> None:
    line = connect(Immediate(_disappointed))
    line.read(head("GET", FORWARD_AUTH, []))
    assert line.reply().body == b"after all"


def test_a_server_that_stops_ends_what_waits(connect: Connect) -> None:
    line = connect(Immediate(_stopped))
    line.read(head("GET", FORWARD_AUTH, []))
    line.end_tasks()
    assert line.reply().body == b"stopping"


def _lasting(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    """What does not depend on what was asked before, and on chance."""
    known_by = reply.headers["x-request-id"]
    headers = {name: value for name, value in reply.headers.items() if not name.startswith("ratelimit")}
    return reply.status, headers | {"x-request-id": ""}, reply.body.replace(known_by.encode(), b"")
