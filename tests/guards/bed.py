"""What the guards' tests stand on: a verifier on the memory store, and callers of bare ASGI and WSGI."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from keyrack import Authority, Key, Policy, Verifier, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.guards import asgi, wsgi
from keyrack.testing import PEPPERS, FixedClock

BY = Authority.operator("tests")
PEER = "192.0.2.7"
Headers = Iterable[tuple[str, str]]


class Bed:
    """A verifier at a time that stands still, and the texts of the keys minted on it.

    It is loaded and not started: no thread takes its notes away.
    """

    def __init__(self, policy: Policy | None = None):
        self.clock = FixedClock()
        stores = open_stores("memory:", peppers=PEPPERS, clock=self.clock)
        found(stores)
        self.verifier = Verifier(stores, policy=policy)
        self.verifier.follower.load()
        self.issuer = self.verifier.issuer()

    def mint(self, *scopes: str, **wish: Any) -> tuple[Key, str]:
        """A new key and its text."""
        minted = self.issuer.mint(Wish(name="tester", scopes=scopes, **wish), by=BY)
        assert minted.secret is not None
        return minted.key, minted.secret

    def text(self, *scopes: str, **wish: Any) -> str:
        return self.mint(*scopes, **wish)[1]

    def noted(self) -> list[tuple[Any, ...]]:
        """The decisions noted since the last flush: decision, address, time, origin."""
        return list(self.verifier.notebook._notes)


class Answer(NamedTuple):
    """An answer as a client sees it; header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one header of that name."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's public code."""
        assert self.header("content-type") == "application/problem+json"
        assert self.header("content-length") == str(len(self.body))
        assert self.header("cache-control") == "no-store"
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["request_id"] == self.header("x-request-id")
        return str(problem["code"])


class Caller(Protocol):
    """One protocol: puts a guard in front of an echoing application, and calls it."""

    def __call__(
        self,
        guard: Any,
        method: str = "GET",
        path: str = "/",
        headers: Headers = (),
        *,
        query: str = "",
        peer: str | None = PEER,
    ) -> Answer: ...


def call_asgi(
    guard: Any,
    method: str = "GET",
    path: str = "/",
    headers: Headers = (),
    *,
    query: str = "",
    peer: str | None = PEER,
    **scope: Any,
) -> Answer:
    """Send one request to an ASGI application."""
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    full = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": sent,
        "client": (peer, 40000) if peer else None,
        **scope,
    }
    messages = run_asgi(guard, full)
    start, *bodies = messages
    answered = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], answered, b"".join(message.get("body", b"") for message in bodies))


def run_asgi(
    app: Any, scope: Mapping[str, Any], *received: Mapping[str, Any], sent: list[Any] | None = None
) -> list[Any]:
    """Run an ASGI application on one scope; what it sent."""
    waiting = list(received)
    sent = [] if sent is None else sent

    async def receive() -> Mapping[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(dict(message))

    asyncio.run(app(dict(scope), receive, send))
    return sent


def call_wsgi(
    guard: Any,
    method: str = "GET",
    path: str = "/",
    headers: Headers = (),
    *,
    query: str = "",
    peer: str | None = PEER,
    **environ: Any,
) -> Answer:
    """Send one request to a WSGI application, repeated headers joined as servers do."""
    joined: dict[str, str] = {}
    for name, value in headers:
        variable = "HTTP_" + name.upper().replace("-", "_")
        joined[variable] = f"{joined[variable]},{value}" if variable in joined else value
    full = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer or "",
        "wsgi.input": io.BytesIO(),
        **joined,
        **environ,
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, answered: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, answered))
        return written.append

    body = guard(full, start_response)
    chunks = list(body)
    if hasattr(body, "close"):
        body.close()
    status, answered = started[-1]
    lowered = [(name.lower(), value) for name, value in answered]
    return Answer(int(status[:3]), lowered, b"".join([*written, *chunks]))


async def asgi_echo(scope: Any, receive: Any, send: Any) -> None:
    """Says which key called it."""
    key = scope.get("state", {}).get("key")
    body = (key.key.name if key else "nobody").encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"mine")]})
    await send({"type": "http.response.body", "body": body})


def wsgi_echo(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Says which key called it."""
    key = environ.get("keyrack.key")
    start_response("200 OK", [("X-Request-Id", "mine")])
    return [(key.key.name if key else "nobody").encode()]


class Protocols(NamedTuple):
    """A protocol's guard, its echoing application, and a way to call it."""

    name: str
    guard: Any
    echo: Any
    call: Any


ASGI = Protocols("asgi", asgi.Guard, asgi_echo, call_asgi)
WSGI = Protocols("wsgi", wsgi.Guard, wsgi_echo, call_wsgi)
