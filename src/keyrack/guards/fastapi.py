"""The guard for FastAPI, its rows written where the routes are.

    app = FastAPI()

    @app.get("/logs")
    @needs("logs:read")
    async def logs(key: CurrentKey) -> dict[str, str]:
        return {"tenant": key.key.tenant}

    protect(app, verifier)

It is pure ASGI underneath. A route without a row stops the start, and so does one that the framework
would reach by another row than the guard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Annotated, Any, Unpack

try:
    from fastapi import Depends, FastAPI
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "The guard for FastAPI needs `pip install 'keyrack[fastapi]'`.", name=missing.name
    ) from None

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Access
from keyrack.deciding import Decides
from keyrack.guards.asgi import Application, Guard, Message, Receive, Scope, Send
from keyrack.guards.decision import Options
from keyrack.guards.fastapi_routes import rows_of
from keyrack.guards.key_state import KeyState, Refused
from keyrack.guards.needs import guarded, needs
from keyrack.guards.openapi import describe
from keyrack.guards.rows import LATER, OPEN, Row, Special

__all__ = [
    "LATER",
    "OPEN",
    "CurrentKey",
    "KeyState",
    "Refused",
    "Row",
    "guarded",
    "needs",
    "protect",
    "rows_of",
]


async def current_key(connection: HTTPConnection) -> KeyState:
    """The key that called a guarded route."""
    key: KeyState = connection.state.key
    return key


CurrentKey = Annotated[KeyState, Depends(current_key)]
"""The type of a parameter that gets the key: `key: CurrentKey`."""


def protect(
    app: FastAPI,
    verifier: Decides | None,
    *,
    rows: Iterable[Row] = (),
    docs: Access | Special | None = None,
    **options: Unpack[Options],
) -> None:
    """Guard an application, before or after its routes are registered.

    `rows` are for routes whose handlers bear no mark, such as mounts. The documentation routes stay
    closed unless `docs` says what they need. Middleware that is added later stands outside of the
    guard: add CORS after it, so that refusals carry CORS headers and preflights are answered, and
    whatever rewrites paths, too. The options are those of every guard.
    """
    given = tuple(rows)

    def read() -> tuple[Row, ...]:
        return rows_of(app, given, docs=docs)

    def guard(inner: Application) -> Guard:
        return Guard(inner, verifier, read(), **options)

    app.add_middleware(Protection, guard=guard)
    app.add_exception_handler(Refused, _refused)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        return describe(plain(), read())

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's documentation gives


class Protection:
    """The guard as middleware: made once all routes are there, at the start or by the first request."""

    def __init__(self, app: Application, *, guard: Callable[[Application], Guard]):
        self._app = app
        self._make = guard

    @cached_property
    def _guard(self) -> Guard:
        return self._make(self._app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._guard(scope, receive, send)
            return

        async def starting() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._check(send)
            return message

        await self._app(scope, starting, send)

    async def _check(self, send: Send) -> None:
        """Stop the start where rows are missing; a server takes a bare exception for no lifespan at all."""
        try:
            self._guard  # noqa: B018  # to look at it is to check it
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": error.detail})
            raise


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    status, headers, body = error.response
    return Response(body, status, dict(headers))
