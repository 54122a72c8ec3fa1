"""What an example says about itself, so that one command can start any of them unprepared."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Example:
    """One example. Each lives in `examples/<name>/example.py` as `EXAMPLE`."""

    command: Callable[[int], list[str]]
    """The arguments that serve it on a port, after `python -m`."""
    try_out: Callable[[int], str]
    """What to try once it serves on a port. It reads keys from the environment and quotes none."""
    random: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """Required variables, and how a value is made for each that is unset."""
    local: Callable[[Path], Mapping[str, str]] = lambda data: {}
    """Where to keep things: the values of variables that are unset, given the example's data folder."""


def key_text() -> str:
    """A strong text: 32 random bytes in base64, as `openssl rand -base64 32` writes them."""
    return base64.b64encode(secrets.token_bytes(32)).decode()
