"""What is wrong with a request whatever the operation: its query written twice, its body of another type.

It stands behind the roles, so a client without a token learns nothing of it (CI-11, CI-12, CI-16).
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.ci_results.middleware import errors
from examples.ci_results.problems import Invalid, Problem, TooLarge, WrongType
from keyrack import KeyrackError, read_json

MAX_JSON = 64 * 1024
MAX_PARAMETERS = 50
JSON = b"application/json"
FORMS = "/progress-reporter/"
"""Where workers send forms."""


def takes_parameters(handler: Callable[..., Any]) -> bool:
    """Whether an operation takes anything in its query; its schema then refuses what it does not know."""
    return "query" in signature(handler).parameters


def refuse_parameters(request: Request) -> None:
    """Raises Invalid for any parameter, where an operation takes none."""
    if request.query_params:
        unknown = {name: ["This operation takes no parameters."] for name in sorted(request.query_params)}
        raise Invalid("This operation takes no parameters.", fields=unknown)


class Disconnected(Exception):  # an event, not an error
    """The client went away before its request was whole."""


class StrictRequests:
    """An application that gets queries without repetitions, and bodies that are strict JSON."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(FORMS):
            await self._app(scope, receive, send)
            return
        try:
            _check_query(scope["query_string"])
            body = await _read_json(scope, receive) if scope["method"] == "POST" else b""
        except Disconnected:
            return
        except Problem as problem:
            await errors.answer(problem)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)


def _check_query(query: bytes) -> None:
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Invalid("This query has too many parameters.") from None
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Invalid("Give each parameter once.", fields={name: ["Give this once."] for name in repeated})


async def _read_json(scope: Scope, receive: Receive) -> bytes:
    """The body, well-formed; an absent one may have any type, since some operations take none."""
    body = await _read(receive)
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    if not body and not types:
        return body
    if len(types) != 1 or types[0].split(b";", 1)[0].strip().lower() != JSON:
        raise WrongType("Send the body as application/json.")
    if body:
        _check_json(body)
    return body


def _check_json(body: bytes) -> None:
    try:
        document = read_json(body)
    except KeyrackError:
        raise Invalid("The body is not well-formed JSON.") from None
    if not isinstance(document, dict):
        raise Invalid("The body is a JSON object.")


async def _read(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > MAX_JSON:
            raise TooLarge(f"Send at most {MAX_JSON // 1024} KiB.")
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receiving() -> Message:
        first = next(messages, None)
        return await receive() if first is None else first

    return receiving
