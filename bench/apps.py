"""The applications that are served to be measured, and what each is compared with."""

from __future__ import annotations

from fastapi import FastAPI

from bench.population import PEPPERS
from keyrack import Verifier
from keyrack.core.http import Response
from keyrack.guards.fastapi import needs, protect
from keyrack.server.app import create_app
from keyrack.server.front import Front
from keyrack.server.hot import QUIET_PATHS
from keyrack.server.wire import App, Receive, Scope, Send, answer, read_body
from keyrack.settings import Settings

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


def open_route() -> FastAPI:
    """A small service."""
    app = FastAPI()
    app.get("/logs")(needs("logs:read")(_logs))
    return app


def guarded_route(store: str) -> FastAPI:
    """The same service, guarded."""
    app = open_route()
    protect(app, Verifier.open(store, peppers=PEPPERS))
    return app


async def _logs() -> dict[str, list[str]]:
    return {"lines": ["one", "two"]}


async def _live(receive: Receive, send: Send) -> None:
    for _ in ("startup", "shutdown"):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
