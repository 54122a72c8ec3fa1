"""JSON as RFC 8259 means it, and I-JSON (RFC 7493) narrows it: well-formed UTF-8, no name twice, no NaN."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from keyrack.core.errors import InvalidRequest


def read(data: bytes) -> Any:
    """The value of a JSON text. Raises InvalidRequest; what was sent is never quoted."""
    try:
        value = _decode(data.decode())
        if b"\\" in data and b"\\ud" in data.lower():
            # Half a character passes as an escape, and fails later wherever it is to be written.
            json.dumps(value, ensure_ascii=False).encode()
    except InvalidRequest:
        raise
    except (ValueError, RecursionError):
        # Also UnicodeDecodeError, and numbers and nesting beyond what Python takes.
        raise InvalidRequest("The body is not well-formed JSON.") from None
    return value


def _decode(text: str) -> Any:
    # What most clients send, without a blank at either end, needs no more than this.
    if text[:1] == "{":
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRequest("The body has an object with the same name twice.")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidRequest("The body has a number that JSON does not have, such as NaN.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
