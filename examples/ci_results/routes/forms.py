"""Forms of workers: fields once each, at most one file, and no more bytes than a file may have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive

from examples.ci_results.problems import Invalid, TooLarge

MAX_FILE = 100 * 1024 * 1024
MAX_FIELDS = 10
ROOM = 64 * 1024
"""For everything in a form beside the file."""
FILE = "file"


class Form(NamedTuple):
    """A form that was read."""

    fields: dict[str, str]
    file: UploadFile | None


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[Form]:
    """The form of a request. Raises Invalid, and TooLarge without reading on."""
    limited = Request(request.scope, _limited(request.receive))
    try:
        form = await limited.form(max_files=1, max_fields=MAX_FIELDS)
    except (MultiPartException, HTTPException):
        raise Invalid("The form cannot be read.") from None
    try:
        yield _read(form)
    finally:
        await form.close()


def _read(form: FormData) -> Form:
    pairs = form.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        raise Invalid("Give each field once.")
    named = dict(pairs)
    file = named.pop(FILE, None)
    if isinstance(file, str) or any(isinstance(value, UploadFile) for value in named.values()):
        raise Invalid("Only `file` is a file.", fields={FILE: ["Send this one as a file, and no other."]})
    if file is not None and (file.size or 0) > MAX_FILE:
        raise too_large()
    return Form({name: str(value) for name, value in named.items()}, file)


def too_large() -> TooLarge:
    """The refusal of a file that is too long."""
    return TooLarge(f"A file has at most {MAX_FILE // 1024 // 1024} MiB.")


def _limited(receive: Receive) -> Receive:
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_FILE + ROOM:
            raise too_large()
        return message

    return receiving
