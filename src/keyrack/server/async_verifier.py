"""The verifier as an event loop asks it: the one place from where the server's decisions go to a thread."""

from __future__ import annotations

import asyncio

from keyrack.core.http import Presented
from keyrack.core.model import Access, Decision
from keyrack.stores.journal import Origin
from keyrack.verifier import Verifier


class AsyncVerifier:
    """Decides at once, as nearly always; in a thread where the decision may wait for a network."""

    def __init__(self, verifier: Verifier):
        self._verifier = verifier

    async def verify(
        self, presented: Presented, access: Access, origin: Origin, *, within: str | None = None
    ) -> Decision:
        """See Verifier.verify."""
        if self._verifier.waits(presented, access):
            verify = self._verifier.verify
            return await asyncio.to_thread(verify, presented, access, origin, within=within)
        return self._verifier.verify(presented, access, origin, within=within)
