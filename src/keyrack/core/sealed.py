"""Reversible secrets as they are stored: what each is for, who may know what of it, and its ciphertext.

Nothing here can open one. A ciphertext belongs to the place that `context` names and opens nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

FORMAT = "kr-sealed-1"
_TEXT = re.compile(rf"{FORMAT}\.([a-z0-9]{{1,16}})\.([0-9a-f]{{16}})\.([A-Za-z0-9_-]+)")


class Ciphertext(NamedTuple):
    """A ciphertext in parts; `text` is the form in which it is stored."""

    master_key: str
    """The id of the master key that it is sealed under."""
    check: str
    """That key's check value, so that another key of the same id is told from it."""
    payload: str
    """Nonce, ciphertext and tag in base64url, without padding."""

    @property
    def text(self) -> str:
        """The stored form, which names its format and its master key."""
        return f"{FORMAT}.{self.master_key}.{self.check}.{self.payload}"


def parse(text: str) -> Ciphertext | None:
    """The parts of a stored text; None for one that is not of this format."""
    found = _TEXT.fullmatch(text)
    return None if found is None else Ciphertext(*found.groups())


@dataclass(frozen=True)
class SealedSecret:
    """One version of a reversible secret. Its plain text is never in here."""

    # Without slots, so that its context is written once: an upstream's key is opened for every request.

    purpose: str
    tenant: str
    name: str
    version: int
    created_at: datetime
    ciphertext: Ciphertext | None = field(default=None, repr=False)
    """None once it was erased."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What everybody may know of it; bound to the ciphertext like its place."""
    not_after: datetime | None = None
    revision: int = 0
    """The number of the last Event about this version."""
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Members of a later format, kept as they are."""

    @property
    def id(self) -> str:
        """Purpose, tenant, name and version: where it is kept."""
        return place(self.purpose, self.tenant, self.name, self.version)

    @cached_property
    def context(self) -> bytes:
        """What a ciphertext is bound to: moved to another place, or beside other facts, it does not open."""
        parts = [self.purpose, self.tenant, self.name, self.version, self.facts]
        return json.dumps(parts, separators=(",", ":"), sort_keys=True).encode()


def place(purpose: str, tenant: str, name: str, version: int) -> str:
    """The id of a version; no part but the name may hold a slash."""
    return f"{purpose}/{tenant}/{name}/{version}"
