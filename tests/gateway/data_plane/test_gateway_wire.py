"""What gateways get wrong on the wire: two readers of one request, answers to the wrong one, bodies that
do not end, and sides that leave or do not read."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from gateway_bed import Serve, Served, path_of
from patience import PATIENCE_SECONDS, eventually
from raw_upstream import Exchange
from raw_upstream import head as answer_head
from test_gateway_route import problem
from wire import answer, asked, begun, chunked, head

MIB = 1024 * 1024
SILENT_SECONDS = 4.0
"""Where a machine that stands still for seconds must not be taken for an upstream that is silent."""


def authorized(gateway: Served) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {gateway.bed.key()}")]


class TestFraming:
    """A request is read in one way: by us and by the upstream."""

    @pytest.mark.parametrize(
        "framing",
        [
            [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
            [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
            [("Content-Length", "5"), ("Content-Length", "6")],
            [("Content-Length", "5"), ("Content-Length", "5")],
            [("Content-Length", "5, 5")],
            [("Content-Length", "+5")],
            [("Content-Length", "-1")],
            [("Content-Length", "0x5")],
            [("Transfer-Encoding", "chunked, identity")],
            [("Transfer-Encoding", "xchunked")],
            [("Transfer-Encoding", "identity")],
            [("Transfer-Encoding ", "chunked")],
            [("Content-Length ", "5")],
            [(" Transfer-Encoding", "chunked")],
            [("X-A", "b\nTransfer-Encoding: chunked")],
            [("X-A", "b\rContent-Length: 5")],
        ],
    )
    def test_a_body_of_doubtful_length_is_refused_and_its_connection_ends(
        self, gateway: Served, framing: list[tuple[str, str]]
    ) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream, api_allowed_headers=["x-a"]))
        smuggled = head("GET", f"{target}/smuggled", authorized(gateway))
        data = head("POST", target, [*authorized(gateway), *framing]) + b"0\r\n\r\n" + smuggled
        with gateway.connect() as connection:
            connection.sendall(data)
            assert answer(connection).status == 400
            assert connection.recv(1) == b""
        assert all("smuggled" not in one.target for one in upstream.requests)

    @pytest.mark.parametrize(
        "chunk", [b"5;x=1\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n"]
    )
    def test_chunks_are_written_anew_without_what_else_stood_with_them(
        self, gateway: Served, chunk: bytes
    ) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream, api_allowed_headers=["x-late"]))
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        assert asked(gateway, "POST", target, headers, chunk).status == 200
        assert upstream.last.body == b"hello"
        assert upstream.last.values("x-late") == []

    @pytest.mark.parametrize("bad", [b"5\r\nhelloX\r\n", b"-5\r\nhello\r\n", b"5\nhello\n", b"zz\r\n"])
    def test_a_bad_chunk_ends_the_connection_and_nothing_after_it_is_a_request(
        self, gateway: Served, bad: bytes
    ) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        smuggled = head("GET", f"{target}/smuggled", authorized(gateway))
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers) + bad + b"0\r\n\r\n" + smuggled)
            while connection.recv(65536):
                pass
        assert all("smuggled" not in one.target for one in upstream.requests)

    def test_trailers_are_no_headers(self, gateway: Served) -> None:
        """A proxy in front judges the headers alone."""
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream, api_allowed_headers=["x-late"]))
        body = f"2\r\nhi\r\n0\r\nAuthorization: {authorized(gateway)[0][1]}\r\nX-Late: 1\r\n\r\n".encode()
        refused = asked(gateway, "POST", target, [("Transfer-Encoding", "chunked")], body)
        assert problem(refused) == (401, "missing_credentials", None)
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        assert asked(gateway, "POST", target, headers, body).status == 200
        assert upstream.last.values("x-late") == []

    def test_trailers_without_end_are_not_read_without_end(self, gateway: Served) -> None:
        target = path_of(gateway.bed.api(gateway.bed.upstream()))
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers) + b"0\r\nX-Late: ")
            with pytest.raises(OSError):
                _send_all(connection, 1024 * MIB)

    def test_requests_that_come_together_are_answered_in_their_order(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))

        async def named(exchange: Exchange) -> None:
            await exchange.reply(200, exchange.target.encode())

        upstream.answer = named
        last = [*authorized(gateway), ("Connection", "close")]
        requests = [head("GET", f"{target}/{name}", authorized(gateway)) for name in "ab"]
        with gateway.connect() as connection:
            connection.sendall(b"".join(requests) + head("GET", f"{target}/c", last))
            with connection.makefile("rb") as answers:
                text = answers.read()
        assert text.count(b"HTTP/1.1 200 OK") == 3
        assert text.index(b"/chat/a") < text.index(b"/chat/b") < text.index(b"/chat/c")

    def test_no_upgrade_is_passed_on(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream, api_allowed_headers=["upgrade", "http2-settings"]))
        upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMA")]
        assert asked(gateway, "GET", target, [*authorized(gateway), *upgrade]).status == 200
        sent = {name.lower() for name, _ in upstream.last.headers}
        assert not sent & {"upgrade", "connection", "http2-settings"}

    def test_a_refusal_ends_the_connection_where_an_announced_body_may_not_come(
        self, gateway: Served
    ) -> None:
        """What comes next could be that body or another request."""
        target = path_of(gateway.bed.api(gateway.bed.upstream()))
        headers = [("Expect", "100-continue"), ("Content-Length", "10")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers))
            assert answer(connection).status == 401
            assert connection.recv(1) == b""

    def test_a_body_is_asked_for_once_the_request_was_admitted(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        headers = [*authorized(gateway), ("Expect", "100-continue"), ("Content-Length", "2")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers))
            assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"hi")
            assert answer(connection).status == 200
        assert upstream.last.body == b"hi"
        assert upstream.last.values("expect") == []


class TestAnswers:
    """Every answer belongs to its request, and is whole or seen not to be."""

    def test_what_an_upstream_sends_unasked_is_nobodys_answer(self, gateway: Served) -> None:
        """Else it would be the answer to the next request, which may be somebody else's."""
        bed, upstream = gateway.bed, gateway.bed.upstream()
        target = path_of(bed.api(upstream))
        assert asked(gateway, "GET", target, authorized(gateway)).body == b"ok"
        bed.portal.call(upstream.write, answer_head(200, [("Content-Length", "6")]) + b"stolen")
        eventually(lambda: _has_been_spoiled(gateway))
        bodies = [asked(gateway, "GET", target, authorized(gateway)).body for _ in range(3)]
        assert bodies == [b"ok"] * 3

    def test_two_answers_to_one_request_are_one(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))

        async def twice(exchange: Exchange) -> None:
            text = exchange.target.encode()
            once = answer_head(200, [("Content-Length", str(len(text)))]) + text
            await exchange.write(once + answer_head(200, [("Content-Length", "6")]) + b"stolen")

        upstream.answer = twice
        for name in "abc":
            found = asked(gateway, "GET", f"{target}/{name}", authorized(gateway))
            assert found.body == f"/chat/{name}".encode()

    def test_an_answer_that_breaks_off_is_not_taken_for_whole(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))

        async def short(exchange: Exchange) -> None:
            await exchange.write(answer_head(200, [("Content-Length", "10")]) + b"half")
            exchange.writer.close()

        async def unended(exchange: Exchange) -> None:
            await exchange.begin()
            await exchange.part(b"half")
            exchange.writer.close()

        for broken in (short, unended):
            upstream.answer = broken
            assert _is_seen_to_be_broken(gateway, target)

    @pytest.mark.parametrize(
        "data",
        [
            b"not http at all\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
            b"",
        ],
    )
    def test_what_is_no_answer_is_a_502(self, gateway: Served, data: bytes) -> None:
        upstream = gateway.bed.upstream()

        async def odd(exchange: Exchange) -> None:
            await exchange.write(data)
            exchange.writer.close()

        upstream.answer = odd
        found = asked(gateway, "GET", path_of(gateway.bed.api(upstream)), authorized(gateway))
        assert problem(found) == (502, "upstream_unreachable", "GTW015")

    def test_interim_answers_are_not_the_answer(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()

        async def patient(exchange: Exchange) -> None:
            await exchange.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            await exchange.reply(200, b"ok")

        upstream.answer = patient
        found = asked(gateway, "GET", path_of(gateway.bed.api(upstream)), authorized(gateway))
        assert (found.status, found.body) == (200, b"ok")

    @pytest.mark.parametrize("status", [204, 304])
    def test_an_answer_that_has_no_body_ends_with_its_head(self, gateway: Served, status: int) -> None:
        upstream = gateway.bed.upstream()

        async def bare(exchange: Exchange) -> None:
            length = [] if status == 204 else [("Content-Length", "10")]
            await exchange.write(answer_head(status, length))

        upstream.answer = bare
        target = path_of(gateway.bed.api(upstream))
        request = head("GET", target, authorized(gateway))
        with gateway.connect() as connection:
            for _ in range(2):
                connection.sendall(request)
                assert (found := answer(connection)).status == status
                assert found.body == b""

    def test_an_answer_that_ends_with_its_connection_is_whole(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()

        async def old(exchange: Exchange) -> None:
            await exchange.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
            exchange.writer.close()

        upstream.answer = old
        found = asked(gateway, "GET", path_of(gateway.bed.api(upstream)), authorized(gateway))
        assert (found.status, found.body) == (200, b"all of it")

    def test_connections_to_an_upstream_are_used_again(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        for _ in range(5):
            assert (
                asked(gateway, "POST", target, [*authorized(gateway), ("Content-Length", "2")], b"hi").status
                == 200
            )
        assert upstream.connections < 5


class TestStreams:
    """Bodies pass as they come, at the pace of whoever reads, and stop when somebody leaves."""

    def test_each_event_arrives_before_the_next_is_sent(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        turn = threading.Semaphore(0)

        async def events(exchange: Exchange) -> None:
            await exchange.begin(headers=[("Content-Type", "text/event-stream")])
            for number in range(3):
                await exchange.part(b"data: %d\n\n" % number)
                while not turn.acquire(blocking=False):
                    await _soon()
            await exchange.part(b"")

        upstream.answer = events
        with gateway.connect() as connection:
            connection.sendall(head("GET", target, authorized(gateway)))
            response = begun(connection)
            for number in range(3):
                assert response.read(9) == b"data: %d\n\n" % number
                turn.release()
            assert response.read() == b""

    def test_the_head_of_an_answer_does_not_wait_for_its_body(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        turn = threading.Event()

        async def slow(exchange: Exchange) -> None:
            await exchange.begin()
            while not turn.is_set():
                await _soon()
            await exchange.part(b"late")
            await exchange.part(b"")

        upstream.answer = slow
        with gateway.connect() as connection:
            connection.sendall(head("GET", target, authorized(gateway)))
            response = begun(connection)
            assert response.status == 200
            turn.set()
            assert response.read() == b"late"

    def test_a_request_body_arrives_before_it_has_ended(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        begun_there = threading.Event()

        async def reading(exchange: Exchange) -> None:
            await exchange.some()
            begun_there.set()
            await exchange.body()
            await exchange.reply(200, bytes(exchange.received))

        upstream.answer = reading
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers) + b"5\r\nfirst\r\n")
            assert begun_there.wait(PATIENCE_SECONDS)
            connection.sendall(chunked(b" second"))
            assert answer(connection).body == b"first second"

    @pytest.mark.parametrize("stated", [True, False])
    def test_a_large_body_passes_unchanged_both_ways(self, gateway: Served, stated: bool) -> None:
        upstream = gateway.bed.upstream()

        async def echo(exchange: Exchange) -> None:
            await exchange.reply(200, await exchange.body())

        upstream.answer = echo
        target = path_of(gateway.bed.api(upstream))
        body = bytes(range(256)) * (3 * MIB // 256)
        framing = ("Content-Length", str(len(body))) if stated else ("Transfer-Encoding", "chunked")
        text = body if stated else chunked(*(body[at : at + 60_000] for at in range(0, len(body), 60_000)))
        assert asked(gateway, "POST", target, [*authorized(gateway), framing], text).body == body

    def test_an_answer_may_come_before_the_body_was_read_and_both_go_on(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))

        async def duplex(exchange: Exchange) -> None:
            await exchange.begin()
            while not exchange.is_whole:
                before = len(exchange.received)
                await exchange.some()
                if len(exchange.received) > before:
                    await exchange.part(bytes(exchange.received[before:]))
            await exchange.part(b"")

        upstream.answer = duplex
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers) + b"4\r\none \r\n")
            response = begun(connection, "POST")
            assert response.read(4) == b"one "
            connection.sendall(chunked(b"two"))
            assert response.read() == b"two"

    def test_a_refusal_that_comes_early_arrives_though_the_body_is_still_being_sent(
        self, gateway: Served
    ) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        done = threading.Event()

        async def too_large(exchange: Exchange) -> None:
            await exchange.reply(413, b"too large")
            while not done.is_set():
                await _soon()

        upstream.answer = too_large
        with gateway.connect() as connection:
            headers = [*authorized(gateway), ("Content-Length", str(64 * MIB))]
            connection.sendall(head("POST", target, headers) + b"a" * 65536)
            found = answer(connection)
        done.set()
        assert (found.status, found.body) == (413, b"too large")

    def test_an_upstream_sends_no_faster_than_its_client_reads(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        sent = 0

        async def endless(exchange: Exchange) -> None:
            nonlocal sent
            await exchange.begin()
            while True:
                await exchange.part(b"a" * 65536)
                sent += 65536

        upstream.answer = endless
        with gateway.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(head("GET", target, authorized(gateway)))
            begun(connection)
            eventually(lambda: _stands_still(lambda: sent))
            held = sent
            assert held < 64 * MIB
            read = 0
            while read < held + 8 * MIB:
                read += len(connection.recv(MIB))
            assert sent > held
        eventually(lambda: upstream.open == 0)

    def test_a_client_sends_no_faster_than_its_upstream_reads(self, gateway: Served) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        go_on = threading.Event()

        async def lazy(exchange: Exchange) -> None:
            while not go_on.is_set():
                await _soon()
            await exchange.body()
            await exchange.reply(200, b"%d" % len(exchange.received))

        upstream.answer = lazy
        size, sent = 64 * MIB, 0
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, [*authorized(gateway), ("Content-Length", str(size))]))

            def send() -> None:
                nonlocal sent
                while sent < size:
                    sent += connection.send(b"a" * min(65536, size - sent))

            sending = threading.Thread(target=send)
            sending.start()
            eventually(lambda: sent and _stands_still(lambda: sent))
            assert sent < size
            go_on.set()
            sending.join(PATIENCE_SECONDS)
            assert answer(connection).body == b"%d" % size

    @pytest.mark.parametrize("state", ["before the answer", "within the answer", "within the body"])
    def test_a_client_that_leaves_ends_what_was_done_for_it(self, gateway: Served, state: str) -> None:
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        arrived = threading.Event()

        async def slow(exchange: Exchange) -> None:
            if state == "within the answer":
                await exchange.begin()
                await exchange.part(b"first")
            arrived.set()
            assert await exchange.reader.read() == b""

        upstream.answer = slow
        with gateway.connect() as connection:
            length = "10" if state == "within the body" else "0"
            connection.sendall(head("POST", target, [*authorized(gateway), ("Content-Length", length)]))
            if state == "within the body":
                connection.sendall(b"a")
            assert arrived.wait(PATIENCE_SECONDS)
        eventually(lambda: upstream.open == 0)


class TestSilence:
    """An upstream that says nothing, or takes nothing, is waited for a stated time."""

    def test_an_upstream_that_does_not_answer_is_a_504(self, serve: Serve) -> None:
        gateway = serve(silent_seconds=0.3)
        upstream = gateway.bed.upstream()

        async def silent(exchange: Exchange) -> None:
            await exchange.reader.read()

        upstream.answer = silent
        found = asked(gateway, "GET", path_of(gateway.bed.api(upstream)), authorized(gateway))
        assert problem(found) == (504, "upstream_timeout", "GTW010")

    def test_so_is_one_that_does_not_read(self, serve: Serve) -> None:
        gateway = serve(silent_seconds=0.3)
        upstream = gateway.bed.upstream()
        done = threading.Event()

        async def deaf(exchange: Exchange) -> None:
            while not done.is_set():
                await _soon()

        upstream.answer = deaf
        size = 64 * MIB
        with gateway.connect() as connection:
            target = path_of(gateway.bed.api(upstream))
            connection.sendall(head("POST", target, [*authorized(gateway), ("Content-Length", str(size))]))
            sending = threading.Thread(target=_send_while_taken, args=(connection, size))
            sending.start()
            found = answer(connection)
            connection.shutdown(socket.SHUT_RDWR)
            sending.join(PATIENCE_SECONDS)
        done.set()
        assert problem(found) == (504, "upstream_timeout", "GTW010")

    def test_an_upstream_that_falls_silent_within_its_answer_is_cut(self, serve: Serve) -> None:
        gateway = serve(silent_seconds=SILENT_SECONDS)
        upstream = gateway.bed.upstream()

        async def faltering(exchange: Exchange) -> None:
            await exchange.begin()
            await exchange.part(b"first")
            await exchange.reader.read()

        upstream.answer = faltering
        with pytest.raises(http.client.IncompleteRead) as cut:
            asked(gateway, "GET", path_of(gateway.bed.api(upstream)), authorized(gateway))
        assert cut.value.partial == b"first"

    def test_a_slow_client_is_not_the_upstreams_silence(self, serve: Serve) -> None:
        gateway = serve(silent_seconds=SILENT_SECONDS)
        upstream = gateway.bed.upstream()
        target = path_of(gateway.bed.api(upstream))
        headers = [*authorized(gateway), ("Transfer-Encoding", "chunked")]
        with gateway.connect() as connection:
            connection.sendall(head("POST", target, headers) + b"1\r\na\r\n")
            threading.Event().wait(SILENT_SECONDS + 0.5)
            connection.sendall(chunked(b"b"))
            assert answer(connection).status == 200
        assert upstream.last.body == b"ab"

    def test_nobody_at_all_is_a_502(self, gateway: Served) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found = asked(gateway, "GET", path_of(gateway.bed.api(url)), authorized(gateway))
        assert problem(found) == (502, "upstream_unreachable", "GTW015")


async def _soon() -> None:
    """Let others go on for a moment."""
    await asyncio.sleep(0.005)


def _has_been_spoiled(gateway: Served) -> bool:
    """Whether the gateway holds a connection on which something came unasked."""
    connector: Any = gateway.bed.gateway._outgoing.session("default").connector
    idle = [protocol for held in connector._conns.values() for protocol, _ in held]
    return any(protocol.should_close for protocol in idle)


def _is_seen_to_be_broken(gateway: Served, target: str) -> bool:
    """Whether the client is told, or its answer breaks off as well."""
    try:
        found = asked(gateway, "GET", target, authorized(gateway))
    except http.client.IncompleteRead as cut:
        return b"half".startswith(cut.partial)
    return problem(found) == (502, "upstream_unreachable", "GTW015")


def _stands_still(count: Callable[[], int]) -> bool:
    before = count()
    threading.Event().wait(0.5)
    return count() == before


def _send_all(connection: socket.socket, size: int) -> None:
    for _ in range(size // 65536):
        connection.sendall(b"a" * 65536)


def _send_while_taken(connection: socket.socket, size: int) -> None:
    """Send so much, or until the connection is ended."""
    with suppress(OSError):
        _send_all(connection, size)
