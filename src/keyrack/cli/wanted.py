"""What people give on a command line, turned into the fields of keys and tenants."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from keyrack.core.fields import refuse

_LIMIT = re.compile(r"([^=]+)=(\d+)/(\d+)")


def present(**given: Any) -> dict[str, Any]:
    """The fields that were given at all."""
    return {name: value for name, value in given.items() if value is not None}


def limits(texts: Sequence[str] | None) -> list[dict[str, Any]] | None:
    """Limits from texts like `minute=60/60`: a name, how many, in how many seconds."""
    return None if texts is None else [_limit(text) for text in texts]


def json_object(field: str, text: str | None) -> Any:
    """The JSON value of a text; that it is an object is for the engine to say."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise refuse(field, 'Give a JSON object such as {"team": "ops"}.') from None


def limit_text(limit: Mapping[str, Any]) -> str:
    """A limit as it is given."""
    return f"{limit['name']}={limit['limit']}/{limit['window_seconds']}"


def cleared(fields: Sequence[str] | None, empty: Mapping[str, Any]) -> dict[str, Any]:
    """The fields whose value is taken away, each with what stands for no value."""
    unknown = [name for name in fields or () if name not in empty]
    if unknown:
        raise refuse("clear", f"Give one of: {', '.join(empty)}.")
    return {name: empty[name] for name in fields or ()}


def _limit(text: str) -> dict[str, Any]:
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise refuse("limit", "Give a name, how many and in how many seconds, such as minute=60/60.")
    return {"name": found[1], "limit": int(found[2]), "window_seconds": int(found[3])}
