"""The applications that are served to be measured, and what each is compared with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel

from bench.population import PEPPERS
from keyrack import Verifier
from keyrack.core.http import Response
from keyrack.guards.fastapi import needs, protect
from keyrack.server.app import create_app
from keyrack.server.front import Front
from keyrack.server.hot import QUIET_PATHS
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
    return create_app(Settings(), Verifier.open(store, peppers=PEPPERS))


def constant_server(headers: Headers, body: bytes) -> App:
    """The server's front with a constant behind it: it takes the request in, and reads nothing of it."""
    constant = Constant(Response(200, headers, body))
    return Front(constant, internal_app=constant, internal=None, quiet=QUIET_PATHS)


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
