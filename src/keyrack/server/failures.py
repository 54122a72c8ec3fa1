"""Every failure of the management API as a problem document; none shows a trace or quotes an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi import Response as HttpResponse
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError, MethodNotAllowed, NotFound, ValidationFailed
from keyrack.guards.key_state import Refused


class InternalError(KeyrackError):
    """A fault of ours; the log has it under the same request id."""


def handle_failures(api: FastAPI) -> None:
    """Register the handlers of every kind of failure."""
    api.add_exception_handler(KeyrackError, _known)
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _framework)
    api.add_exception_handler(Exception, _unforeseen)


def _known(request: Request, error: Exception) -> HttpResponse:
    return _respond(request, error if isinstance(error, KeyrackError) else InternalError("Failed."))


def _refused(_: Request, error: Exception) -> HttpResponse:
    response = error.response if isinstance(error, Refused) else http.Response(500, (), b"")
    return HttpResponse(response.body, response.status, dict(response.headers))


def _invalid(request: Request, error: Exception) -> HttpResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(one["loc"][0] in ("query", "header") for one in errors):
        names = ", ".join(sorted({str(one["loc"][-1]) for one in errors}))
        return _respond(request, InvalidRequest(f"Not a valid value: {names}."))
    return _respond(request, ValidationFailed(_fields(errors)))


def _framework(request: Request, error: Exception) -> HttpResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    answers: Mapping[int, KeyrackError] = {
        400: InvalidRequest("The body cannot be read."),
        404: NotFound("There is nothing at this path."),
        405: MethodNotAllowed("This path does not take this method."),
    }
    return _respond(request, answers.get(status) or InternalError("This request failed here."))


def _unforeseen(request: Request, _: Exception) -> HttpResponse:
    # The outermost edge: Starlette raises it on after this answer, so that the log has the trace.
    return _respond(request, InternalError("This request failed here; the log says why."))


def _respond(request: Request, error: KeyrackError) -> HttpResponse:
    request_id = request.scope["state"].get("request_id", "")
    response = http.failure(error, request_id=request_id)
    return HttpResponse(response.body, response.status, dict(response.headers))


def _fields(errors: Sequence[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in errors:
        name = ".".join(str(part) for part in one["loc"][1:]) or "body"
        found.setdefault(name, []).append(one["msg"])
    return found
