"""The verifier as an event loop asks it: the one place from where the server's decisions go to a thread."""

from __future__ import annotations

import asyncio
from typing import Protocol

from keyrack.core.http import Presented
from keyrack.core.model import Access, Decision
from keyrack.stores.journal import Origin
from keyrack.verifier import Verifier


class AtOnce(Protocol):
    """Verifier.verify, or None in place of a decision that may wait for a network."""

    def __call__(
        self, presented: Presented, access: Access, origin: Origin, *, within: str | None = None
    ) -> Decision | None: ...


class AsyncVerifier:
    """Decides at once, as nearly always; in a thread where the decision may wait for a network.

    `asked.at_once(…) or await asked.verify(…)` with the same arguments spares a coroutine.
    """

    def __init__(self, verifier: Verifier):
        self._verifier = verifier
        self.at_once: AtOnce = self._unless_it_waits if verifier.may_wait else verifier.verify

    async def verify(
        self, presented: Presented, access: Access, origin: Origin, *, within: str | None = None
    ) -> Decision:
        """See Verifier.verify."""
        decision = self.at_once(presented, access, origin, within=within)
        if decision is None:
            verify = self._verifier.verify
            decision = await asyncio.to_thread(verify, presented, access, origin, within=within)
        return decision

    def _unless_it_waits(
        self, presented: Presented, access: Access, origin: Origin, *, within: str | None = None
    ) -> Decision | None:
        if self._verifier.waits(presented, access):
            return None
        return self._verifier.verify(presented, access, origin, within=within)
