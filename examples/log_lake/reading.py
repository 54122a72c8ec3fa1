"""How the body of a management request comes in: declared, bounded, parsed, and of the right shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from examples.log_lake.problems import (
    InvalidRequest,
    PayloadTooLarge,
    UnprocessableContent,
    UnsupportedMediaType,
)
from keyrack import KeyrackError, read_json

MAX_BODY_BYTES = 64 * 1024

B = TypeVar("B", bound=BaseModel)


def body_of(model: type[B], *, optional: bool = False) -> Callable[[Request], Awaitable[B]]:
    """A dependency that gives a route its body as this model; an `optional` one may be left out."""

    async def body(request: Request) -> B:
        raw = await _raw_body(request)
        if optional and not raw:
            return model()
        return _parse(model, raw, request.headers.get("content-type", ""))

    return body


@contextmanager
def named(names: Mapping[str, str]) -> Iterator[None]:
    """Call the fields that Keyrack complains of as clients of this service know them."""
    try:
        yield
    except KeyrackError as error:
        fields = error.details.get("fields")
        if fields is None:
            raise
        raise UnprocessableContent({_renamed(field, names): fields[field] for field in fields}) from None


def _renamed(field: str, names: Mapping[str, str]) -> str:
    head, dot, rest = field.partition(".")
    return names.get(head, head) + dot + rest


async def _raw_body(request: Request) -> bytes:
    """The bytes of the body, never many more than the limit. Raises PayloadTooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"This body has at most {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _parse(model: type[B], raw: bytes, content_type: str) -> B:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        return model.model_validate(read_json(raw))
    except ValidationError as error:
        raise InvalidRequest(
            "The body does not have the members that it must.", fields=_fields(error)
        ) from None


def _fields(error: ValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"]) or "body"
        fields.setdefault(name, []).append(fault["msg"])
    return fields
