"""Which names a stream may have (LL-20), and a tenant (LL-9). A name is kept exactly as it was written."""

from __future__ import annotations

import re

from examples.log_lake.problems import InvalidRequest

RESERVED = frozenset(
    {
        *("select", "from", "where", "group", "by", "order", "limit", "offset", "join", "and", "sql"),
        "default",
    }
)
"""Not the name of a stream, in whatever case."""
INTERNAL = "lake_internal"
RULE = "A stream name has 1 to 64 letters, digits, `-`, `_`, none of these two first, and is not reserved."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,35}")


def is_stream_name(text: str) -> bool:
    """Whether a stream may be called so."""
    if _NAME.fullmatch(text) is None:
        return False
    folded = text.lower()
    return folded not in RESERVED and not folded.startswith(INTERNAL)


def stream_name(text: str | None) -> str:
    """The text itself, if a stream may be called so. Raises InvalidRequest."""
    if text is None:
        raise InvalidRequest("Name the stream in the header X-P-Stream.")
    if not is_stream_name(text):
        raise InvalidRequest(RULE)
    return text


def is_tenant_id(text: str) -> bool:
    """Whether a tenant may have this id, which is the name of its folder."""
    return _TENANT.fullmatch(text) is not None


def tenant_id(text: str) -> str:
    """The text itself, if a tenant may have this id. Raises ValueError."""
    if not is_tenant_id(text):
        raise ValueError("A tenant id has 1 to 36 letters, digits, `-`, `_`, none of these two first.")
    return text
