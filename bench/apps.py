"""The applications that are served to be measured, and what each is compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import cycle
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel

from bench.population import KEYS_IN_USE, PEPPERS, SCOPES, text_of
from keyrack import Access, Verifier
from keyrack.core.http import Response
from keyrack.guards.fastapi import needs, protect
from keyrack.server.app import create_app
from keyrack.server.front import Front
from keyrack.server.garbage import settle
from keyrack.server.hot import IMMEDIATE, QUIET_PATHS
from keyrack.server.wire import App, Receive, Scope, Send, answer, read_body
from keyrack.settings import Settings

_AT = datetime(2026, 1, 1, tzinfo=UTC)

Headers = tuple[tuple[str, str], ...]


class Constant:
    """Stands where the hot paths stand, and answers what it was given."""

    def __init__(self, response: Response):
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["method"] == "POST":
            await read_body(receive)
        await answer(send, self._response)


def keyrack_server(store: str) -> App:
    """The whole server."""
    app = create_app(Settings(), Verifier.open(store, peppers=PEPPERS))
    settle()
    return app


def constant_server(headers: Headers, body: bytes) -> App:
    """The server's front with a constant behind it: it takes the request in, and reads nothing of it."""
    return _constant(headers, body, frozenset())


def express_constant(headers: Headers, body: bytes) -> App:
    """The same, answered where its requests are read, as the hot paths are."""
    return _constant(headers, body, IMMEDIATE)


def _constant(headers: Headers, body: bytes, immediate: frozenset[tuple[bytes, bytes]]) -> App:
    constant = Constant(Response(200, headers, body))
    settle()
    return Front(constant, internal_app=constant, internal=None, quiet=QUIET_PATHS, immediate=immediate)


class Decisions:
    """Decisions and nothing else in front of an application: no request is read for them.

    What this costs is the least that any guard can; it shows how much of a target is left for the rest.
    """

    def __init__(self, app: App, verifier: Verifier, decisions: int):
        self._app = app
        self._verify = verifier.verify
        self._decisions = decisions
        self._texts = cycle([text_of(number) for number in range(1, KEYS_IN_USE + 1)])
        self._access = Access(SCOPES[:1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for _ in range(self._decisions):
                self._verify(next(self._texts), self._access)
        await self._app(scope, receive, send)


def deciding_constant(store: str, decisions: int, headers: Headers, body: bytes) -> App:
    """The constant with bare decisions in front."""
    verifier = Verifier.open(store, peppers=PEPPERS)
    return Decisions(constant_server(headers, body), verifier, decisions)


def deciding_service(store: str) -> App:
    """The open service with one bare decision in front."""
    return Decisions(open_service(), Verifier.open(store, peppers=PEPPERS), 1)


class Line(BaseModel):
    """A line of a log."""

    at: datetime
    text: str


class Lines(BaseModel):
    """An answer with a model, as most services have them."""

    lines: list[Line]
    next_cursor: str | None = None


def open_service() -> FastAPI:
    """A small service: the least route that there is, and one with a parameter and a response model."""
    app = FastAPI()
    app.get("/least")(needs("logs:read")(_least))
    app.get("/lines")(needs("logs:read")(_lines))
    return app


def guarded_service(store: str) -> FastAPI:
    """The same service, guarded."""
    app = open_service()
    protect(app, Verifier.open(store, peppers=PEPPERS))
    return app


async def _least() -> dict[str, list[str]]:
    return {"lines": ["one", "two"]}


async def _lines(limit: Annotated[int, Query(ge=1, le=100)] = 50) -> Lines:
    return Lines(lines=[Line(at=_AT, text=f"line {number}") for number in range(limit)])


async def _live(receive: Receive, send: Send) -> None:
    for _ in ("startup", "shutdown"):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
