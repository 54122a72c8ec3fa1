"""Every failure of the management API as a problem document; none shows a trace or quotes an input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi import Response as HttpResponse
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from keyrack.core import http
from keyrack.core.errors import InvalidRequest, KeyrackError, MethodNotAllowed, NotFound, ValidationFailed
from keyrack.core.http import Response
from keyrack.guards.key_state import Refused


class InternalError(KeyrackError):
    """A fault of ours; the log has its trace under the same request id."""

    def __init__(self) -> None:
        super().__init__("This request failed here; the log says why.")


def handle_failures(api: FastAPI) -> None:
    """Register the handlers of every kind of failure."""

    def handle(kind: type[Exception], respond: Callable[[Any, str], Response]) -> None:
        def handler(request: Request, error: Exception) -> HttpResponse:
            response = respond(error, request.state.request_id)
            return HttpResponse(response.body, response.status, dict(response.headers))

        api.add_exception_handler(kind, handler)

    handle(KeyrackError, lambda error, request_id: http.failure(error, request_id=request_id))
    handle(Refused, lambda error, _: error.response)
    handle(RequestValidationError, lambda error, id_: http.failure(_invalid(error), request_id=id_))
    handle(HTTPException, lambda error, id_: http.failure(_framework(error), request_id=id_))
    # Starlette raises it on after this answer; the front logs it.
    handle(Exception, lambda _, id_: http.failure(InternalError(), request_id=id_))


def _invalid(error: RequestValidationError) -> KeyrackError:
    errors = error.errors()
    if any(one["loc"][0] in ("query", "header") for one in errors):
        names = ", ".join(sorted({str(one["loc"][-1]) for one in errors}))
        return InvalidRequest(f"Not known here, or not a valid value: {names}.")
    return ValidationFailed(_fields(errors))


def _framework(error: HTTPException) -> KeyrackError:
    answers = {
        400: InvalidRequest("The body cannot be read."),
        404: NotFound("There is nothing at this path."),
        405: MethodNotAllowed("This path does not take this method."),
    }
    return answers.get(error.status_code) or InternalError()


def _fields(errors: Sequence[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in errors:
        name = ".".join(str(part) for part in one["loc"][1:]) or "body"
        found.setdefault(name, []).append(one["msg"])
    return found
