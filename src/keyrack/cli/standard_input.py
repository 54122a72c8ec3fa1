"""Secrets that commands are given: the first line of standard input, and never an argument."""

from __future__ import annotations

import getpass
import sys

from keyrack.core.errors import InvalidRequest
from keyrack.core.session import MAX_LENGTH


def read_secret(prompt: str, command: str) -> str:
    """One line, asked for without an echo on a terminal.

    Too long ones are cut: what is longer than a session token can be is refused as such.
    """
    if sys.stdin.isatty():
        text = getpass.getpass(f"{prompt}: ")
    else:
        text = sys.stdin.buffer.readline(2 * MAX_LENGTH).decode("latin-1")
    if not text.strip():
        raise InvalidRequest(f"Give the key's text on standard input: `{command} < file`.")
    return text.strip()
