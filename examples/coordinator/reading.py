"""How a request body comes in: bounded first, then declared, then parsed, then validated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from examples.coordinator import strict_json
from examples.coordinator.problems import PayloadTooLarge, UnsupportedMediaType, ValidationFailed

MAX_BODY_BYTES = 256 * 1024

B = TypeVar("B", bound=BaseModel)


async def raw_body(request: Request) -> bytes:
    """The bytes of the body, never more than the limit. Raises PayloadTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"A body has at most {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def body_of(model: type[B]) -> Callable[[Request], Awaitable[B]]:
    """A dependency that gives a route its body as this model."""

    async def body(request: Request) -> B:
        return parse(model, await raw_body(request), request.headers.get("content-type", ""))

    return body


def parse(model: type[B], raw: bytes, content_type: str) -> B:
    """The model of a body. Raises UnsupportedMediaType, InvalidRequest or ValidationFailed."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        return model.model_validate(strict_json.read(raw))
    except ValidationError as error:
        raise ValidationFailed(_fields(error)) from None


def _fields(error: ValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"]) or "body"
        fields.setdefault(name, []).append(fault["msg"])
    return fields
