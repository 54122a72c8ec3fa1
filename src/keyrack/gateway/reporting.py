"""What became of requests that a proxy carried: it tells, and the credits and the counts follow."""

from __future__ import annotations

import asyncio

from keyrack.core.errors import Conflict, NotFound
from keyrack.core.model import Key
from keyrack.core.upstream import Upstream, upstream_id
from keyrack.gateway import receipts
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.receipts import Receipt
from keyrack.stores.balances import Outcome
from keyrack.stores.outbox import Notice

REFUSALS = frozenset({401, 403})
"""What upstreams answer to a key that they do not accept."""


class Reports:
    """Takes the reports of proxies on decisions that they were told."""

    def __init__(self, plane: DataPlane):
        self._verifier = plane.verifier
        self._charges = plane.charges
        self._tally = plane.monitoring.tally

    async def take(
        self, reporter: Key, request_id: str, outcome: Outcome, *, upstream_status: int | None
    ) -> None:
        """End the reservation of a decision and count its send, once.

        Raises NotFound for a decision that this reporter was never told, Conflict for one that was
        reported before, or that ended without a report, and Unavailable.
        """
        receipt = receipts.read(request_id, reporter.id, self._verifier.stores.peppers)
        if receipt is None:
            raise NotFound("This proxy was told no decision of this id.")
        if not await self._ended(receipt, outcome):
            raise Conflict("This decision was reported before, or has ended without a report.")
        upstream = self._upstream(reporter.tenant, receipt.group)
        if upstream is not None and receipt.number:
            judged = accepted(upstream_status)
            self._tally.sent(upstream, receipt.number, accepted=judged, key_id=receipt.key_id or None)

    async def _ended(self, receipt: Receipt, outcome: Outcome) -> bool:
        """Whether this report is the one that ends the decision."""
        if receipt.is_charged:
            return await self._charges.end(receipt.id, outcome)
        return await self._claimed(receipt)

    async def _claimed(self, receipt: Receipt) -> bool:
        """Whether nobody has claimed the report of a decision that reserved nothing."""
        state, notice = self._verifier.stores.gateway, Notice(f"report/{receipt.id}", self._verifier.clock())
        if state.blocks:
            return bool(await asyncio.to_thread(state.outbox.claim, [notice], []))
        return bool(state.outbox.claim([notice], []))

    def _upstream(self, tenant: str, group: str) -> Upstream | None:
        found = self._verifier.follower.replica.upstreams.get(upstream_id(tenant, group))
        return None if found is None or found.deleted_at is not None else found


def accepted(status: int | None) -> bool | None:
    """What a status says of the key that was sent; None where it says nothing."""
    if status is None or status >= 500:
        return None
    return status not in REFUSALS
