"""The credits of one request that is carried: ended once, whatever else happens (UG-34)."""

from __future__ import annotations

from keyrack.gateway.charging import Charges, Held
from keyrack.gateway.metering import Units, UsageMeter
from keyrack.stores.balances import Outcome

_UNPAID = frozenset({401, 403, 429})


class Settlement:
    """Ends what is held; nothing is where nothing is charged."""

    def __init__(self, charges: Charges, held: Held | None):
        self._charges = charges
        self._held = held
        self._answer: tuple[int, UsageMeter] | None = None

    @property
    def stands(self) -> bool:
        """Whether the credits are still held, so that the request may go on."""
        return self._held is None or not self._held.lost.is_set()

    def begin(self, status: int, meter: UsageMeter) -> None:
        """Take note of an upstream's answer: its status and what it used by then say how this ends."""
        self._answer = (status, meter)

    async def refund(self) -> None:
        """Give the credits back: nothing was got for them."""
        await self._end(Outcome.REFUNDED, None)

    async def end(self, sent_bytes: int) -> None:
        """End them as the answer says, whole or cut; `sent_bytes` is what was read of the request's body.

        Without an answer they are kept: what was sent may have been carried out.
        """
        if self._held is None:
            return
        if self._answer is None:
            await self._end(Outcome.SETTLED, Units(sent_bytes, 0))
            return
        status, meter = self._answer
        if is_paid_for(status):
            await self._end(Outcome.SETTLED, meter.units(sent_bytes))
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
