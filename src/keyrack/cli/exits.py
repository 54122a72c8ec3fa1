"""What a command's exit code says, and how its errors look: one table, two lines at most."""

from __future__ import annotations

import re
import sys

from keyrack.cli.display import json_text
from keyrack.core.credential import SCANNER_PATTERN
from keyrack.core.errors import (
    ConfigurationError,
    InvalidRequest,
    KeyrackError,
    Tampered,
    Unavailable,
    ValidationFailed,
)

OK = 0
REFUSED = 1
"""Denied, not held, not found, in conflict, or a check that found something."""
USAGE = 2
UNAVAILABLE = 3
"""The store cannot be read or written, or does not authenticate."""
CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a setting is missing or wrong."""
INTERRUPTED = 130


class Unanswered(Unavailable):
    """A server did not answer, or could not: what was asked of it may have been done."""


_CODES: tuple[tuple[type[KeyrackError], int], ...] = (
    (ConfigurationError, CONFIGURATION),
    (Unavailable, UNAVAILABLE),
    (Tampered, UNAVAILABLE),
    (ValidationFailed, USAGE),
    (InvalidRequest, USAGE),
)
_GIVEN = re.compile(rf"(?<=unexpected extra )argument.*|{SCANNER_PATTERN}", re.DOTALL)
"""What a complaint of Typer quotes of what was given, where that may be a secret in the wrong place."""
_JARGON = "Value error, "
"""What pydantic, where it is installed, puts before each of its complaints."""
_NEXT = {
    Unanswered: "It is not known whether anything was changed; look before you repeat it.",
    Unavailable: "Nothing was changed; `keyrack doctor` says what is wrong.",
    Tampered: "`keyrack events check` names the first event that is not as it was committed.",
}
"""What to do next; the first that fits."""


def exit_code(error: KeyrackError) -> int:
    """The exit code that an error ends a command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), REFUSED)


def complain(error: KeyrackError, *, as_json: bool) -> None:
    """Say on standard error what went wrong and what to do next; with `as_json` as a problem document."""
    lines = [f"keyrack: {error.detail}"]
    fields = error.details.get("fields", {})
    lines += [f"  {name}: {' '.join(messages)}" for name, messages in fields.items()]
    lines += [text for kind, text in _NEXT.items() if isinstance(error, kind)][:1]
    _write(_document(error) if as_json else "\n".join(lines))


def complain_of_usage(message: str, command: str, *, as_json: bool) -> None:
    """Say that a command was not called as it can be, and where its help is; never what was given."""
    detail = f"{_GIVEN.sub('…', message).replace(_JARGON, '').rstrip('.')}. See `{command} --help`."
    error = InvalidRequest(detail, code="usage")
    _write(_document(error) if as_json else f"keyrack: {detail}")


def _document(error: KeyrackError) -> str:
    members = {
        "type": f"urn:keyrack:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "details": error.details,
    }
    return json_text(members, sys.stderr)


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
