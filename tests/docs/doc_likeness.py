"""Compares what a page shows with what really happened: alike, not equal.

What differs at every run (keys, ids, times, ports, temporary folders) is the same to it, and so is
the width of blanks. `…` stands for anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

_VARYING = (
    (re.compile(r"[a-z][a-z0-9]*_[a-z][a-z0-9]*_[0-9A-Za-z]{50}"), "KEY"),
    (re.compile(r"[a-z][a-z0-9]*_[a-z][a-z0-9]*_[0-9A-Za-z]{4}…[0-9A-Za-z]{4}"), "HINT"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b[0-9A-Za-z]{12}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "HEX"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "ADDRESS"),
)


def plain(text: str) -> str:
    """The text with all that varies written alike."""
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def unlike(shown: str, actual: str) -> str | None:
    """Why the actual text is not as shown: the first shown line that is missing, or None.

    The lines that are shown must all be there, in their order; there may be others.
    """
    lines = [plain(line) for line in actual.splitlines()]
    for line in filter(str.strip, shown.splitlines()):
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in plain(line).split("…")))
        place = next((index for index, one in enumerate(lines) if pattern.fullmatch(one)), None)
        if place is None:
            return f"shown, but not printed: {line.strip()}\nprinted:\n{actual}"
        del lines[: place + 1]
    return None


def unlike_json(shown: Any, actual: Any, path: str = "") -> str | None:
    """Why the actual value is not as shown, or None. Objects may have more members than are shown."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        missing = [f"{path}.{name}: shown, but there is none" for name in shown if name not in actual]
        found = (unlike_json(shown[name], actual[name], f"{path}.{name}") for name in shown if name in actual)
        return _first([*missing, *found])
    if isinstance(shown, list) and isinstance(actual, list) and len(shown) <= len(actual):
        pairs = enumerate(zip(shown, actual, strict=False))
        return _first(unlike_json(one, other, f"{path}[{index}]") for index, (one, other) in pairs)
    if isinstance(shown, str) and isinstance(actual, str):
        is_alike = unlike(shown, actual) is None
    else:
        is_alike = shown == actual and type(shown) is type(actual)
    return None if is_alike else f"{path}: shown {shown!r}, but it is {actual!r}"


def printed_json(text: str) -> Any:
    """The JSON value that was printed, whatever stands before it (such as response headers)."""
    return json.loads(text[min(index for index in map(text.find, "{[") if index >= 0) :])


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
