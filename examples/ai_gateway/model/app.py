"""The provider over HTTP: the chat API, and a console for whoever owns the account."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from examples.ai_gateway.model import answers
from examples.ai_gateway.model.desk import Desk

PAUSE_SECONDS = 0.005
"""Between two pieces of an answer."""
DEFAULT_REQUESTS_PER_MINUTE = 1_000_000


class Failure(Exception):
    """An answer that is an error of this API."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None):
        super().__init__(body["error"]["message"])
        self.status, self.body, self.headers = status, body, headers or {}


class Message(BaseModel):
    """One thing that was said."""

    role: str
    content: str


class Question(BaseModel):
    """What is asked of a model."""

    model: str
    messages: list[Message]
    stream: bool = False

    @property
    def text(self) -> str:
        """The last thing that was said."""
        return self.messages[-1].content if self.messages else ""


class Accepted(BaseModel):
    """The keys of the account."""

    keys: list[str]


def create() -> FastAPI:
    """The provider, with the keys of MODEL_KEYS and the console behind MODEL_CONSOLE_KEY."""
    app = FastAPI(title="A model provider")
    app.state.desk = Desk(
        os.environ["MODEL_KEYS"].split(","),
        requests_per_minute=int(os.environ.get("MODEL_REQUESTS_PER_MINUTE", DEFAULT_REQUESTS_PER_MINUTE)),
    )
    app.state.console_key = os.environ["MODEL_CONSOLE_KEY"]
    app.state.numbers = itertools.count(1)
    app.add_exception_handler(Failure, _fail)
    app.add_exception_handler(RequestValidationError, _refuse)
    app.get("/v1/models", dependencies=[Depends(_caller)])(models)
    app.post("/v1/chat/completions")(chat)
    app.get("/console/keys", dependencies=[Depends(_owner)])(look)
    app.put("/console/keys", dependencies=[Depends(_owner)])(replace)
    return app


def _caller(request: Request, authorization: Annotated[str, Header()] = "") -> int:
    """How many requests the caller's key has left. Raises Failure."""
    desk: Desk = request.app.state.desk
    key = authorization.removeprefix("Bearer ")
    if not desk.knows(key):
        raise Failure(
            401, answers.error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        )
    left = desk.take(key)
    if left < 0:
        limited = answers.error("Rate limit reached.", "rate_limit_error", "rate_limit_exceeded")
        raise Failure(429, limited, {"retry-after": "1", "x-ratelimit-remaining-requests": "0"})
    return left


def _owner(request: Request, x_console_key: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(x_console_key.encode(), request.app.state.console_key.encode()):
        raise Failure(403, answers.error("This is for the owner of the account.", "permission_error"))


async def models() -> dict[str, Any]:
    """The models that there are."""
    return answers.models()


async def chat(request: Request, question: Question, left: Annotated[int, Depends(_caller)]) -> Any:
    """An answer, or a stream of its pieces."""
    _require_model(question.model)
    name = f"chatcmpl-{next(request.app.state.numbers)}"
    said = answers.words(question.text)
    headers = {"x-ratelimit-remaining-requests": str(left)}
    if question.stream:
        pieces = _slowly(answers.events(name, question.model, said))
        return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)
    return JSONResponse(answers.completion(name, question.model, said, question.text), headers=headers)


async def look(request: Request) -> dict[str, Any]:
    """How often each key was shown."""
    report: dict[str, Any] = request.app.state.desk.report()
    return report


async def replace(request: Request, accepted: Accepted) -> dict[str, int]:
    """Accept these keys, and no others."""
    request.app.state.desk.accept(accepted.keys)
    return {"keys": len(accepted.keys)}


def _require_model(model: str) -> None:
    if model not in answers.MODELS:
        missing = answers.error("There is no such model.", "invalid_request_error", "model_not_found")
        raise Failure(404, missing)
    if model == "overloaded-1":
        raise Failure(503, answers.error("The model is overloaded.", "server_error"))


async def _slowly(events: Any) -> AsyncIterator[str]:
    for event in events:
        yield event
        await asyncio.sleep(PAUSE_SECONDS)


async def _fail(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Failure):
        raise error
    return JSONResponse(error.body, error.status, error.headers)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(answers.error("The request is not of this API.", "invalid_request_error"), 400)
