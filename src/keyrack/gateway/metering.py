"""What one answer used: bytes, or the units that the upstream itself reports at JSON pointers (RFC 6901).

Reports are read from JSON, and from the events or lines of a stream, where the last report counts. Where an
API names pointers and an answer has no report, bytes are counted: what is not reported is not free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from keyrack.gateway.admin.upstream_fields import MAX_UNITS

MAX_READ = 1024 * 1024
"""How long a JSON text may be to be read for a report."""
_STREAMS = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq")


class Units(NamedTuple):
    """What is added to the meters of a balance."""

    input: int
    output: int


class UsageMeter:
    """Counts one answer as it passes."""

    def __init__(self, pointers: Mapping[str, str], content_type: str):
        kind = content_type.partition(";")[0].strip().lower()
        self._pointers = pointers if kind in _STREAMS or kind.endswith("json") else {}
        self._is_stream = kind in _STREAMS
        self._bytes = 0
        self._text = bytearray()
        self._is_too_long = False
        self._found: dict[str, int] = {}

    def count(self, chunk: bytes) -> None:
        """Count what passes."""
        self._bytes += len(chunk)
        if not self._pointers or self._is_too_long:
            return
        self._text += chunk
        if self._is_stream:
            *lines, rest = self._text.split(b"\n")
            for line in lines:
                self._read(line.strip().removeprefix(b"data:"))
            self._text = rest
        if len(self._text) > MAX_READ:
            self._is_too_long = True
            self._text.clear()

    def units(self, sent_bytes: int) -> Units:
        """What was used in all; `sent_bytes` is the length of the request's body."""
        self._read(bytes(self._text).strip().removeprefix(b"data:"))
        return Units(self._found.get("input", sent_bytes), self._found.get("output", self._bytes))

    def _read(self, text: bytes | bytearray) -> None:
        if not text or not self._pointers:
            return
        document = _parsed(text)
        for name, pointer in self._pointers.items():
            value = at_pointer(document, pointer)
            # More than any balance has is a mistake of the upstream, or more than a store can count.
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_UNITS:
                self._found[name] = value


def at_pointer(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer, or None where there is none."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list):
            document = document[int(key)] if key.isdecimal() and int(key) < len(document) else None
        else:
            return None
    return document


def _parsed(text: bytes | bytearray) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # an upstream's answer need not be what it says that it is
        return None
