"""Documents of the store: JSON that names its format, authenticated together with its own path.

The code is of the exact bytes before it, under the log key of the pepper that they name, so a document
that was altered, or put in the place of another, is told by the object that it stands in.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keyrack.core.errors import ConfigurationError, Corrupted, Unavailable
from keyrack.core.peppers import SETTING, Pepper, Peppers

FORMAT = 1
_CODE = b',"mac":"'
_TAIL = len(_CODE) + 64 + len(b'"}')


def seal_document(path: str, members: Mapping[str, Any], pepper: Pepper) -> bytes:
    """The bytes of a document that is to stand at this path."""
    text = _dump({"format": FORMAT, **members, "pepper": pepper.id, "check": pepper.check})
    return text[:-1] + _CODE + _code(path, text, pepper).hex().encode() + b'"}'


def open_document(path: str, data: bytes, peppers: Peppers, *, known_only: bool = True) -> dict[str, Any]:
    """The members of a document that was sealed for this path.

    Raises Corrupted, which names the path, for one that cannot be read or authenticated; Unavailable
    for a later format; ConfigurationError for a pepper that was not given, or with another text. With
    `known_only` false a document whose pepper is gone is read without being authenticated: whoever asks
    for that checks what is inside.
    """
    text = data[:-_TAIL] + b"}"
    members = _parse(path, text)
    pepper = peppers.get(members["pepper"])
    if pepper is None and known_only:
        raise ConfigurationError(SETTING, f"lacks the pepper {members['pepper']!r}, which {path} is under.")
    if pepper is not None and data[-_TAIL:] != _CODE + _code(path, text, pepper).hex().encode() + b'"}':
        _refuse(path, members, pepper)
    return members


def packed(row: Any, *, text: Sequence[str] = ()) -> dict[str, Any]:
    """A named tuple as JSON; the fields named in `text` are bytes that are text as a rule."""
    return {name: _written(value, name in text) for name, value in row._asdict().items()}


def unpacked(kind: type[Any], row: Mapping[str, Any], *, text: Sequence[str], coded: Sequence[str]) -> Any:
    """The named tuple that `packed` wrote; `coded` are its other fields of bytes."""
    values = {name: row[name] for name in kind._fields}
    values.update((name, row[name].encode("utf-8", "surrogateescape")) for name in text)
    values.update((name, b64decode(row[name])) for name in coded)
    return kind(**values)


def _written(value: Any, is_text: bool) -> Any:
    if not isinstance(value, bytes):
        return value
    # Exact for any bytes: what is no UTF-8 is kept byte for byte (PEP 383).
    return value.decode("utf-8", "surrogateescape") if is_text else b64encode(value).decode()


def _code(path: str, text: bytes, pepper: Pepper) -> bytes:
    return pepper.log.digest(f"{path}\n".encode() + text)


def _parse(path: str, text: bytes) -> dict[str, Any]:
    try:
        members: dict[str, Any] = json.loads(text)
        known = members["format"] <= FORMAT
        members["pepper"], members["check"]
    except (ValueError, KeyError, TypeError):
        raise Corrupted(path, "cannot be read") from None
    if not known:
        raise Unavailable(f"{path} is of a format that this version does not know; upgrade this node.")
    return members


def _refuse(path: str, members: Mapping[str, Any], pepper: Pepper) -> None:
    if members["check"] != pepper.check:
        raise ConfigurationError(
            SETTING, f"the text of pepper {pepper.id!r} is not the one this store was written under."
        )
    raise Corrupted(path, "does not authenticate")


def _dump(members: Mapping[str, Any]) -> bytes:
    parts = (f"{json.dumps(name)}:{_value(value)}" for name, value in members.items())
    return ("{" + ",\n".join(parts) + "}").encode("ascii")


def _value(value: Any) -> str:
    """A list is written item by item: one call for all of it would keep other threads from running."""
    if not isinstance(value, list):
        return _json(value)
    return "[" + ",\n".join(_items(value)) + "]"


def _items(rows: Iterable[Any]) -> Iterable[str]:
    return (_json(row) for row in rows)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
