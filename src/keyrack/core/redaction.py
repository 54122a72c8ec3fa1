"""What of a request may stand in a log for good: whatever is secret by its name or its shape is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keyrack.core.credential import SCANNER_PATTERN
from keyrack.core.records import write_time

REDACTED = "[redacted]"
SECRET_FIELDS = frozenset(
    {
        "api_key",
        "api_key_new",
        "user_api_key",
        "key",
        "secret",
        "token",
        "password",
        "passwd",
        "authorization",
        "x-api-key",
        "cookie",
        "set-cookie",
        "client_secret",
        "access_token",
        "refresh_token",
    }
)
"""Names in lower case of fields that hold a secret, whatever it looks like."""

_SHAPES = re.compile(
    "|".join(
        (
            SCANNER_PATTERN,
            r"(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
            r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
            r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}",
            r"\b[0-9a-fA-F]{32,}\b",
        )
    )
)
"""Keyrack keys; bearer and basic credentials; JWTs (RFC 7519); `sk-…` and its kin; long hex."""


def redacted(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same members as JSON has them, with a fixed text in the place of each secret; a null stays one."""
    return {_value(name): _member(name, value) for name, value in given.items()}


def _member(name: str, value: object) -> Any:
    if name.lower() in SECRET_FIELDS:
        return None if value is None else REDACTED
    return _value(value)


def _value(value: object) -> Any:
    if isinstance(value, str):
        return _SHAPES.sub(REDACTED, value)
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, Mapping):
        return redacted(value)
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    return value
