"""What guards need of whoever decides for them: a Verifier on a store, or one that asks a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Key
from keyrack.stores.journal import Origin
from keyrack.stores.opened import Clock

Ceiling = Callable[[Key], tuple[str, ...]]
"""What a key may do at most, by a rule of the service; memory only, asked at every decision."""

ANYTHING = Access()
"""What asks for nothing but a good key."""


class Decides(Protocol):
    """Decides whether requests may pass. Safe for threads; no method raises for a bad credential."""

    @property
    def clock(self) -> Clock:
        """The time that decisions go by, in Unix seconds."""

    def waits(self, presented: Presented, access: Access = ANYTHING) -> bool:
        """Whether a decision on this may wait for a network; an event loop then asks for it in a thread."""

    def verify(
        self, presented: Presented, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """Decide, spend and note."""

    def identify(
        self, presented: Presented, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """Decide all but scopes; a refusal is final and noted."""

    def allow(
        self, identified: Allowed, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """The second half of `identify`: check, spend and note."""
