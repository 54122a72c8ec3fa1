"""LATER: the handler asks once it knows what for, and an answer that was not asked for does not go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from guards.bed import ASGI, BY, WSGI, Answer, Bed, Protocols, call_asgi, call_wsgi, run_asgi
from keyrack import Access, Allowed, Denied, Limit, Policy
from keyrack.guards import LATER, Row
from keyrack.guards.key_state import KeyState, Refused

ROWS = (Row("POST", "/logs", LATER),)
INGEST = Access(("streams/web:ingest",), service="ingest")
Handler = Callable[[KeyState], int]


def served(protocol: Protocols, bed: Bed, handler: Handler, method: str = "POST") -> Answer:
    """What becomes of a handler that is handed the key and returns a status."""
    headers = [("x-api-key", bed.text("streams/web:ingest")), ("x-request-id", "r1")]
    rows = (Row(method, "/logs", LATER),)

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        status = handler(scope["state"]["key"])
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"secret ", "more_body": True})
        await send({"type": "http.response.body", "body": b"things"})

    def wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(f"{handler(environ['keyrack.key'])} OK", [])
        return [b"secret ", b"things"]

    if protocol is ASGI:
        sent = run_asgi(
            ASGI.guard(asgi_app, bed.verifier, rows),
            {
                "type": "http",
                "method": method,
                "path": "/logs",
                "headers": [(name.encode(), value.encode()) for name, value in headers],
            },
        )
        start, *bodies = [message for message in sent if message["type"] != "http.response.debug"]
        named = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Answer(start["status"], named, b"".join(message["body"] for message in bodies))
    return call_wsgi(WSGI.guard(wsgi_app, bed.verifier, rows), method, "/logs", headers)


def test_a_handler_that_was_allowed_answers(bed: Bed, protocol: Protocols) -> None:
    def handler(key: KeyState) -> int:
        assert not key.has_passed
        decision = key.allow(INGEST)
        assert isinstance(decision, Allowed)
        assert key.allowed is decision
        return 202

    answer = served(protocol, bed, handler)
    assert (answer.status, answer.body) == (202, b"secret things")
    assert answer.header("x-request-id") == "r1"
    assert [origin for *_, origin in bed.noted()] == [("POST /logs", "r1")]


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("status", [200, 302, 399])
def test_an_answer_without_asking_is_replaced_and_logged(
    bed: Bed, protocol: Protocols, status: int, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = served(protocol, bed, lambda key: status, method)
    assert answer.status == 503
    assert b"secret" not in answer.body
    assert (answer.body == b"") == (method == "HEAD")
    assert f"{method} /logs answered before" in caplog.text


def test_an_answer_after_a_refusal_alone_is_replaced_too(bed: Bed, protocol: Protocols) -> None:
    def handler(key: KeyState) -> int:
        assert isinstance(key.allow(Access(("streams/db:ingest",))), Denied)
        return 200

    assert served(protocol, bed, handler).code == "unavailable"


def test_one_permission_is_enough_for_an_answer(bed: Bed, protocol: Protocols) -> None:
    def handler(key: KeyState) -> int:
        decisions = [key.allow(INGEST), key.allow(Access(("streams/db:ingest",)))]
        assert [isinstance(decision, Allowed) for decision in decisions] == [True, False]
        return 207

    assert served(protocol, bed, handler).status == 207


@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_an_error_needs_no_asking(bed: Bed, protocol: Protocols, status: int) -> None:
    answer = served(protocol, bed, lambda key: status)
    assert (answer.status, answer.body) == (status, b"secret things")


def test_a_refusal_by_the_handler_is_the_guards_own(bed: Bed, protocol: Protocols) -> None:
    seen: list[KeyState] = []

    def handler(key: KeyState) -> int:
        seen.append(key)
        with pytest.raises(Refused) as caught:
            key.require(Access(("streams/db:ingest",)))
        status, headers, body = caught.value.response
        assert dict(headers)["x-request-id"] == "r1"
        assert b"insufficient_scope" in body
        assert key.require(INGEST).key is key.key
        return status

    assert served(protocol, bed, handler).status == 403
    (key,) = seen
    assert (key.key.name, key.secret.number, key.scopes) == ("tester", 1, ("streams/web:ingest",))
    assert repr(key) == f"<KeyState {key.key.id}>"


def test_what_the_handler_asks_is_charged_and_shown(protocol: Protocols) -> None:
    bed = Bed(Policy(limits=(Limit("burst", 2, 60),)))

    def handler(key: KeyState) -> int:
        assert key.rates == ()
        key.allow(INGEST)
        key.allow(INGEST)
        return 200

    assert served(protocol, bed, handler).header("x-ratelimit-remaining") == "0"

    def greedy(key: KeyState) -> int:
        key.allow(INGEST)
        key.allow(Access(INGEST.scopes, cost=2))
        return 200

    answer = served(protocol, bed, greedy)
    assert (answer.status, answer.header("x-ratelimit-remaining")) == (200, "1")
    bed.verifier.close()


def test_the_clients_address_is_filled_in_for_the_handler(bed: Bed) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        key = scope["state"]["key"]
        seen.append((str(key.address), key.allow(INGEST)))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    text = bed.text("streams/web:ingest", networks=["192.0.2.0/24"])
    guard = ASGI.guard(app, bed.verifier, ROWS)
    assert call_asgi(guard, "POST", "/logs", [("x-api-key", text)]).status == 200
    assert call_asgi(guard, "POST", "/logs", [("x-api-key", text)], peer="198.51.100.1").status == 403
    assert [address for address, _ in seen] == ["192.0.2.7"]


def test_a_key_that_was_refused_never_reaches_the_handler(bed: Bed, protocol: Protocols) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS)
    assert protocol.call(guard, "POST", "/logs", [("x-api-key", "x" * 60)]).code == "invalid_credentials"


def test_a_key_revoked_between_the_two_halves_is_refused(bed: Bed, protocol: Protocols) -> None:
    def handler(key: KeyState) -> int:
        bed.issuer.revoke(key.key.id, by=BY)
        decision = key.allow(INGEST)
        assert isinstance(decision, Denied)
        return key.response(decision).status

    assert served(protocol, bed, handler).status == 401


def test_an_asgi_handler_may_ask_until_its_body_begins(bed: Bed) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["state"]["key"].allow(INGEST)
        for part in (b"a", b"b", b""):
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})

    guard = ASGI.guard(app, bed.verifier, ROWS)
    answer = call_asgi(guard, "POST", "/logs", [("x-api-key", bed.text("streams/web:ingest"))])
    assert (answer.status, answer.body) == (200, b"ab")


def later_wsgi(bed: Bed, app: Any) -> Answer:
    guard = WSGI.guard(app, bed.verifier, ROWS)
    return call_wsgi(guard, "POST", "/logs", [("x-api-key", bed.text("streams/web:ingest"))])


def test_a_wsgi_handler_may_ask_until_its_body_begins(bed: Bed) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Cache-Control", "max-age=1")])
        environ["keyrack.key"].allow(INGEST)
        yield b"a"
        yield b"b"

    answer = later_wsgi(bed, app)
    assert (answer.status, answer.body, answer.header("cache-control")) == (200, b"ab", "max-age=1")


def test_a_wsgi_answer_without_a_body_is_held_to_the_same(bed: Bed) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("204 No Content", [])
        return ()

    assert later_wsgi(bed, app).code == "unavailable"


class Body(list[bytes]):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("asks", [True, False])
def test_a_wsgi_body_is_closed_whatever_becomes_of_it(bed: Bed, asks: bool) -> None:
    body = Body([b"secret"])

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        if asks:
            environ["keyrack.key"].allow(INGEST)
        return body

    assert later_wsgi(bed, app).status == (200 if asks else 503)
    assert body.closed


@pytest.mark.parametrize("asks", [True, False])
def test_what_a_wsgi_handler_writes_by_hand_is_held_as_well(bed: Bed, asks: bool) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if asks:
            environ["keyrack.key"].allow(INGEST)
        write(b"secret ")
        write(b"things")
        return ()

    answer = later_wsgi(bed, app)
    assert answer.status == (200 if asks else 503)
    assert (answer.body == b"secret things") == asks


def test_a_wsgi_handler_may_change_its_mind_before_its_body_begins(bed: Bed) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("500 Broken", [], (ValueError, ValueError(), None))
        return [b"sorry"]

    answer = later_wsgi(bed, app)
    assert (answer.status, answer.body) == (500, b"sorry")


def test_a_wsgi_handler_cannot_change_what_replaced_its_answer(bed: Bed) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])(b"secret ")
        start_response("200 OK", [], (ValueError, ValueError(), None))(b"things")
        return [b"!"]

    assert later_wsgi(bed, app).code == "unavailable"


def test_a_late_fault_of_a_wsgi_handler_is_for_the_server(bed: Bed) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["keyrack.key"].allow(INGEST)
        start_response("200 OK", [])
        yield b"a"
        start_response("500 Broken", [], (ValueError, ValueError(), None))
        yield b"b"

    answer = later_wsgi(bed, app)
    assert (answer.status, answer.body) == (500, b"ab")


def test_a_wsgi_handler_that_never_starts_is_for_the_server_too(bed: Bed) -> None:
    with pytest.raises(IndexError):
        later_wsgi(bed, lambda environ, start_response: [b"secret"])


@pytest.mark.parametrize("protocol", [ASGI, WSGI], ids=lambda one: one.name)
def test_a_handler_learns_by_which_row_its_request_came(protocol: Protocols, bed: Bed) -> None:
    rows: list[Row] = []

    def handler(key: KeyState) -> int:
        rows.append(key.row)
        return 403

    served(protocol, bed, handler)
    assert rows == [Row("POST", "/logs", LATER)]
