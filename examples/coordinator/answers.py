"""Problems as HTTP: the one place that writes an error body of this service (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from examples.coordinator.problems import MethodNotAllowed, NotFound, Problem, ValidationFailed

REALM = "coordinator"
PROBLEM_TYPE = "application/problem+json"


def document(problem: Problem) -> dict[str, Any]:
    """The body of a problem, but for the request id, which differs each time."""
    return {
        "type": f"urn:keyrack:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "details": problem.details,
    }


def respond(
    request: Request, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A JSON answer; one that is an error says so in its media type and names the request."""
    if status < 400:
        return JSONResponse(body, status, headers)
    own = {"WWW-Authenticate": f'Bearer realm="{REALM}"'} if status == 401 else {}
    return JSONResponse({**body, **_named(request)}, status, {**own, **(headers or {})}, PROBLEM_TYPE)


def _named(request: Request) -> dict[str, str]:
    """The id of the request; one to an open operation has none."""
    state = request.scope.get("state", {}).get("key")
    return {} if state is None else {"request_id": state.request_id}


def install(app: FastAPI) -> None:
    """Answer every exception of the application with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(request: Request, error: Exception) -> JSONResponse:
    problem = error if isinstance(error, Problem) else Problem("The request failed.")
    return respond(request, problem.status, document(problem))


async def _invalid_parameter(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    return await _problem(request, ValidationFailed({str(one["loc"][-1]): [one["msg"]] for one in faults}))


async def _framework(request: Request, error: Exception) -> JSONResponse:
    """What the guard's table let through and the framework does not serve, such as HEAD."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    problem = MethodNotAllowed() if status == 405 else NotFound("There is no such operation.")
    return await _problem(request, problem)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """The outermost edge: the error itself goes to the server's log, never to the client."""
    return await _problem(request, Problem("The request failed for a reason of our own."))
