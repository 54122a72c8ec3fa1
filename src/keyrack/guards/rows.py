"""The rows of a guard: method, path template, and what a key needs. What no row names is not served."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Access
from keyrack.core.scopes import is_scope
from keyrack.guards import templates

_METHOD = re.compile(r"[A-Z]+(-[A-Z]+)*")


class Special(Enum):
    """What a row can ask for instead of an Access."""

    OPEN = "open"
    LATER = "later"


OPEN = Special.OPEN
"""Needs nothing and gets nothing: the guard looks at no header and adds none."""
LATER = Special.LATER
"""The handler says what it needs once it has read the request: `request.state.key.allow(Access(…))`."""

WEBSOCKET = "websocket:"
"""The method of a row for web sockets; no HTTP method can be spelled like this."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: a method, a path template, and what a key needs for it.

    `path` may have parameters, each a whole segment: `{id}`, and at the end `{rest:path}`. A GET row
    serves HEAD too where HEAD has no row of its own. Raises ConfigurationError for an unreadable
    template, for an Access without scopes (it would let every key in) and for LATER on a web socket.
    """

    method: str
    path: str
    access: Access | Special
    service: str | None = None
    """With LATER: what must not be suspended for the tenant. An Access names its service itself."""

    def __post_init__(self) -> None:
        if self.method != WEBSOCKET and _METHOD.fullmatch(self.method) is None:
            raise self._wrong("has a method that is not written in upper case")
        if templates.parse(self.path) is None:
            raise self._wrong("has a path that is no template of whole segments such as /jobs/{id}")
        if isinstance(self.access, Access):
            self._check_scopes(self.access)
        elif self.access is LATER and self.method == WEBSOCKET:
            raise self._wrong("cannot be LATER, since a web socket is accepted before it says anything")
        if self.service is not None and self.access is not LATER:
            raise self._wrong("names a service beside its access; only a row that is LATER does")

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def needs(self) -> tuple[Access | Special, str | None]:
        """All that it asks of a key."""
        return self.access, self.service

    def _check_scopes(self, access: Access) -> None:
        if not access.scopes:
            raise self._wrong("names no scope, so every key would pass; name one, or use LATER")
        for scope in access.scopes:
            if not is_scope(scope):
                raise self._wrong(f"names {scope!r}, which is no scope such as jobs:read")

    def _wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError("rows", f"the row {self} {what}.")
