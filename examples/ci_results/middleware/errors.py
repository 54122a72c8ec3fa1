"""Every error body of this service (CI-10): those of routes, of the framework, and of the guard.

The guard answers with problem documents; on their way out they are put into this service's words here,
and here alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.ci_results.problems import Invalid, MethodNotAllowed, NotFound, Problem, WrongType

PROBLEM_TYPE = b"application/problem+json"
MAX_MESSAGE = 500
UNAUTHORIZED = "Send a live token in `Authorization: Bearer …` or `X-API-Key`."
_CODES = {
    "ambiguous_credentials": "ambiguous_credentials",
    "rate_limited": "rate_limited",
    "unavailable": "unavailable",
    "invalid_request": "validation_error",
    "not_found": "not_found",
    "method_not_allowed": "method_not_allowed",
}
"""What the guard calls an error, and what this service does. Any other 401 is `unauthorized`."""


def body(problem: Problem) -> dict[str, Any]:
    """The body of a problem."""
    return {
        "code": problem.code,
        "message": str(problem)[:MAX_MESSAGE],
        "details": dict(problem.details),
    }


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem as a response."""
    own = {}
    if problem.status == 401:
        own["WWW-Authenticate"] = 'Bearer realm="ci-results"'
    if problem.status == 429:
        own["Retry-After"] = str(problem.details["retry_after"])
    return JSONResponse(body(problem), problem.status, {**own, **(headers or {})})


def install(app: FastAPI) -> None:
    """Answer every exception of the application with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(request: Request, error: Exception) -> JSONResponse:
    return answer(error if isinstance(error, Problem) else _failed())


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(one["type"] == "json_invalid" for one in faults):
        return answer(Invalid("The body is not well-formed JSON."))
    fields: dict[str, list[str]] = {}
    for one in faults:
        fields.setdefault(_named(one["loc"]), []).append(str(one["msg"]))
    return answer(Invalid("Please correct: " + ", ".join(sorted(fields)) + ".", fields=fields))


def _named(place: tuple[Any, ...]) -> str:
    """The field that a fault is in, without the part of the request that holds it."""
    return ".".join(str(part) for part in place[1:]) or str(place[0])


async def _framework(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    known: dict[int, Problem] = {
        400: Invalid("The body cannot be read."),
        404: NotFound("There is no such operation."),
        405: MethodNotAllowed("This path has no such method."),
        415: WrongType("Send the body as application/json."),
    }
    headers = error.headers if isinstance(error, HTTPException) else None
    return answer(known.get(status, _failed()), headers)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """The outermost edge: the error itself goes to the server's log, never to the client."""
    return answer(_failed())


def _failed() -> Problem:
    return Problem("The request failed for a reason of our own.")


class Reworded:
    """An application whose problem documents are put into the words of this service."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Rewording(send))


class _Rewording:
    """Holds a problem document back until it is whole; everything else passes."""

    def __init__(self, send: Send):
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        written = json.dumps(_reworded(start["status"], json.loads(self._body))).encode()
        kept = [pair for pair in start["headers"] if pair[0] not in (b"content-type", b"content-length")]
        sent = [
            *kept,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(written)),
        ]
        await self._send({**start, "headers": sent})
        await self._send({"type": "http.response.body", "body": written})


def _is_problem(start: Message) -> bool:
    return (b"content-type", PROBLEM_TYPE) in start["headers"]


def _reworded(status: int, document: Mapping[str, Any]) -> dict[str, Any]:
    if status == 401:
        return {"code": "unauthorized", "message": UNAUTHORIZED, "details": {}}
    code = _CODES.get(document["code"], "forbidden" if status == 403 else "internal_error")
    return {"code": code, "message": document["detail"], "details": _details(code, document)}


def _details(code: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": document["code"]} if code == "forbidden" else dict(document["details"])
