"""The credits of one request that is carried: ended once, whatever else happens (UG-34)."""

from __future__ import annotations

from keyrack.gateway.charging import Charges, Held
from keyrack.gateway.metering import Units
from keyrack.stores.balances import Outcome

_UNPAID = frozenset({401, 403, 429})


class Settlement:
    """Ends what is held; nothing is where nothing is charged."""

    def __init__(self, charges: Charges, held: Held | None):
        self._charges = charges
        self._held = held

    @property
    def stands(self) -> bool:
        """Whether the credits are still held, so that the request may go on."""
        return self._held is None or not self._held.lost.is_set()

    async def refund(self) -> None:
        """Give the credits back: nothing was got for them."""
        await self._end(Outcome.REFUNDED, None)

    async def settle(self, units: Units | None = None) -> None:
        """Keep the credits, and count what was used where that is known."""
        await self._end(Outcome.SETTLED, units)

    async def settle_for(self, status: int, units: Units) -> None:
        """End them as an upstream's answer of this status says."""
        if is_paid_for(status):
            await self.settle(units)
        else:
            await self.refund()

    async def _end(self, outcome: Outcome, units: Units | None) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        if units is None:
            await self._charges.end(held.id, outcome)
        else:
            await self._charges.end(held.id, outcome, input_units=units.input, output_units=units.output)


def is_paid_for(status: int) -> bool:
    """Whether an upstream's answer of this status costs what it was to cost."""
    return status < 500 and status not in _UNPAID
