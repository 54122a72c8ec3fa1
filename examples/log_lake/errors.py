"""Problems as HTTP: the one place that writes an error body of this service (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from examples.log_lake.problems import InternalError, InvalidRequest, MethodNotAllowed, NotFound
from keyrack import KeyrackError
from keyrack.guards.fastapi import Refused

REALM = "log-lake"
PROBLEM_TYPE = "application/problem+json"
RETRY_SECONDS = "1"
"""When there may be room again for what was too much at once; the guard says it for limits of keys."""


def document(error: KeyrackError) -> dict[str, Any]:
    """The body of an error, but for the request id, which differs each time."""
    return {
        "type": f"urn:keyrack:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "details": error.details,
    }


def install(app: FastAPI) -> None:
    """Answer every exception of the application with a problem."""
    app.add_exception_handler(KeyrackError, _problem)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unforeseen)


def problem(error: KeyrackError, request_id: str | None = None) -> JSONResponse:
    """The response for an error."""
    named = {"request_id": request_id} if request_id else {}
    headers = {"Cache-Control": "no-store", **({"Retry-After": RETRY_SECONDS} if error.status == 429 else {})}
    return JSONResponse({**document(error), **named}, error.status, headers, PROBLEM_TYPE)


def answer(request: Request, error: KeyrackError) -> JSONResponse:
    """The response for an error of this request, which it names."""
    return problem(error, _request_id(request))


def _request_id(request: Request) -> str | None:
    """That of the guard; a request to an open operation has none."""
    request_id: str | None = request.scope.get("state", {}).get("request_id")
    return request_id


async def _problem(request: Request, error: Exception) -> Response:
    return answer(request, error if isinstance(error, KeyrackError) else _fault())


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        return answer(request, _fault())
    status, headers, body = error.response
    return Response(body, status, dict(headers))


async def _invalid_parameter(request: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    names = ", ".join(sorted({str(one["loc"][-1]) for one in faults}))
    return answer(request, InvalidRequest(f"Not known here, or not a valid value: {names}."))


async def _framework(request: Request, error: Exception) -> Response:
    """What the guard's table let through and the framework does not serve, such as HEAD."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    known: dict[int, KeyrackError] = {
        400: InvalidRequest("The body cannot be read."),
        404: NotFound("There is no such operation."),
        405: MethodNotAllowed("This path has no such method."),
    }
    return answer(request, known.get(status) or _fault())


async def _unforeseen(request: Request, error: Exception) -> Response:
    """The outermost edge: the error itself goes to the server's log, never to the client."""
    return answer(request, _fault())


def _fault() -> KeyrackError:
    return InternalError("The request failed for a reason of our own.")
