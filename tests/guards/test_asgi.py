"""What only ASGI has: raw paths, mounts, lifespan, web sockets, threads, a state that is shared."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.bed import Bed, asgi_echo, call_asgi, run_asgi
from keyrack import Access, Limit
from keyrack.guards import OPEN, WEBSOCKET, Row
from keyrack.guards.asgi import Guard

READ = Access(("a:read",))
ROWS = (
    Row("GET", "/livez", OPEN),
    Row("GET", "/jobs/{id}", READ),
    Row(WEBSOCKET, "/chat", READ),
    Row(WEBSOCKET, "/lobby", OPEN),
)


@pytest.fixture
def guard(bed: Bed) -> Guard:
    return Guard(asgi_echo, bed.verifier, ROWS)


@pytest.mark.spec("CO-6")
def test_a_real_client_of_a_second_application_meets_the_same_guard(bed: Bed) -> None:
    async def second(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def ask(headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(Guard(second, bed.verifier, ROWS))
        async with httpx.AsyncClient(transport=transport, base_url="http://second") as client:
            return await client.get("/jobs/7", headers=headers)

    assert asyncio.run(ask({})).json()["code"] == "missing_credentials"
    assert asyncio.run(ask({"X-Api-Key": bed.text("a:read")})).status_code == 204


@pytest.mark.parametrize("raw", [b"/live%7A", b"/%6civez", b"/x%2F..%2Flivez", b"/livez%00", b"/%"])
def test_a_path_that_is_encoded_in_an_odd_way_is_not_open(bed: Bed, guard: Guard, raw: bytes) -> None:
    assert call_asgi(guard, "GET", "/livez", raw_path=raw).code == "missing_credentials"
    key = [("x-api-key", bed.text("a:read"))]
    assert call_asgi(guard, "GET", "/livez", key, raw_path=raw).code == "not_found"


@pytest.mark.parametrize("raw", [None, b"", b"/livez", b"/livez?next=%2Fx"])
def test_a_raw_path_is_not_needed_and_may_bring_its_query(guard: Guard, raw: bytes | None) -> None:
    assert call_asgi(guard, "GET", "/livez", raw_path=raw).status == 200


def test_a_parameter_may_be_encoded_where_it_has_to_be(bed: Bed, guard: Guard) -> None:
    key = [("x-api-key", bed.text("a:read"))]
    assert call_asgi(guard, "GET", "/jobs/a é", key, raw_path=b"/jobs/a%20%C3%A9").status == 200
    assert call_asgi(guard, "GET", "/jobs/a/b", key, raw_path=b"/jobs/a%2Fb").status == 404


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"x-api-key", b"authorization", b"x-request-id", b"x-forwarded-for", b"cookie"]),
            st.binary(max_size=600),
        ),
        max_size=4,
    ),
    path=st.text(max_size=12),
    query=st.binary(max_size=20),
    method=st.text(max_size=8),
)
def test_no_bytes_open_what_is_guarded_or_break_the_guard(
    shared_bed: Bed, headers: list[tuple[bytes, bytes]], path: str, query: bytes, method: str
) -> None:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": headers,
        "query_string": query,
        "client": ("10.0.0.1", 1),
    }
    guard = Guard(asgi_echo, shared_bed.verifier, (Row("GET", "/a", READ),), trusted_proxies=["10.0.0.0/8"])
    start, _ = run_asgi(guard, scope)
    assert start["status"] in (400, 401)
    assert all(b"\n" not in value for _, value in start["headers"])


def test_an_app_behind_a_root_path_is_matched_as_it_routes(bed: Bed) -> None:
    guard = Guard(asgi_echo, bed.verifier, (*ROWS, Row("GET", "/public/{rest:path}", OPEN)))
    for path, root, status in [
        ("/api/livez", "/api", 200),
        ("/api/public/x", "/api", 200),
        ("/api/jobs/7", "/api", 401),
        ("/livez", "/api", 200),
        ("/apilivez", "/api", 401),
        ("/api", "/api", 401),
        ("/public/jobs/7", "/public", 401),
    ]:
        assert call_asgi(guard, "GET", path, root_path=root).status == status, path


def test_a_root_path_that_the_app_sets_itself_is_known(bed: Bed) -> None:
    class App:
        root_path = "/api"

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await asgi_echo(scope, receive, send)

    rows = (Row("GET", "/{rest:path}", OPEN), Row("GET", "/jobs", READ))
    assert call_asgi(Guard(App(), bed.verifier, rows), "GET", "/api/jobs").status == 401
    assert call_asgi(Guard(App(), bed.verifier, rows), "GET", "/api/else").status == 200


def test_405_below_a_root_names_the_methods_of_what_stands_behind_it(bed: Bed, guard: Guard) -> None:
    key = [("x-api-key", bed.text("a:read"))]
    answer = call_asgi(guard, "POST", "/api/jobs/7", key, root_path="/api")
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


def test_lifespan_passes_through_and_nothing_unknown_does(bed: Bed) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": f"{scope['type']}.seen"})

    guard = Guard(app, bed.verifier, ROWS)
    assert run_asgi(guard, {"type": "lifespan"}) == [{"type": "lifespan.seen"}]
    with pytest.raises(RuntimeError, match="webtransport"):
        run_asgi(guard, {"type": "webtransport"})


def test_a_state_that_a_server_shares_between_requests_never_holds_a_key(bed: Bed, guard: Guard) -> None:
    shared = {"pool": "database"}
    answer = call_asgi(guard, "GET", "/jobs/7", [("x-api-key", bed.text("a:read"))], state=shared)
    assert (answer.status, answer.body) == (200, b"tester")
    assert shared == {"pool": "database"}
    assert call_asgi(guard, "GET", "/livez", state=shared).body == b"nobody"


def test_a_handlers_own_cache_rule_stands(bed: Bed) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"cache-control", b"private"), (b"x-ratelimit-limit", b"9"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    answer = call_asgi(Guard(app, bed.verifier, ROWS), "GET", "/jobs/7", [("x-api-key", bed.text("a:read"))])
    assert (answer.header("cache-control"), answer.header("etag")) == ("private", "1")


def test_a_decision_that_may_wait_is_made_in_a_thread(bed: Bed) -> None:
    threads: set[int] = set()

    def ceiling(key: Any) -> tuple[str, ...]:
        threads.add(threading.get_ident())
        return ("*:*",)

    bed.verifier._counting_waits = True
    guard = Guard(asgi_echo, bed.verifier, ROWS, ceiling=ceiling)
    assert call_asgi(guard, "GET", "/jobs/7", [("x-api-key", bed.text("a:read"))]).status == 200
    assert threads == {threading.get_ident()}
    threads.clear()
    limited = bed.text("a:read", limits=[Limit("minute", 60, 60)])
    assert call_asgi(guard, "GET", "/jobs/7", [("x-api-key", limited)]).status == 200
    assert threads
    assert threading.get_ident() not in threads


def socket(path: str, *headers: tuple[str, str], **scope: Any) -> dict[str, Any]:
    sent = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "websocket", "path": path, "headers": sent, "query_string": b"", **scope}


async def chat(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-own", b"1")]})
    await send({"type": "websocket.close"})


CONNECT = {"type": "websocket.connect"}


def test_a_web_socket_is_decided_on_its_handshake(bed: Bed) -> None:
    guard = Guard(chat, bed.verifier, ROWS)
    accept, _ = run_asgi(guard, socket("/chat", ("x-api-key", bed.text("a:read"))), CONNECT)
    assert accept["type"] == "websocket.accept"
    assert {name for name, _ in accept["headers"]} == {b"x-own", b"x-request-id", b"cache-control"}
    assert run_asgi(guard, socket("/lobby"), CONNECT)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize("path", ["/chat", "/jobs/7", "/livez", "/nowhere"])
def test_a_refused_web_socket_is_closed_before_it_is_accepted(bed: Bed, path: str) -> None:
    guard = Guard(chat, bed.verifier, ROWS)
    assert run_asgi(guard, socket(path), CONNECT) == [{"type": "websocket.close", "code": 1008}]


def test_a_refused_web_socket_gets_the_whole_answer_where_the_server_can_send_it(bed: Bed) -> None:
    guard = Guard(chat, bed.verifier, ROWS)
    start, body = run_asgi(
        guard, socket("/chat", extensions={"websocket.http.response": {}}), {"type": "websocket.connect"}
    )
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"www-authenticate", b'Bearer realm="keyrack"') in start["headers"]
    assert body["type"] == "websocket.http.response.body"
    assert b"missing_credentials" in body["body"]
