"""Credits of a request that is carried: reserved before it is sent, renewed meanwhile, ended after it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from keyrack.core.errors import Unavailable
from keyrack.core.upstream import Upstream
from keyrack.stores.balances import (
    LEASE_SECONDS,
    NO_BALANCE,
    Account,
    Balance,
    Balances,
    Order,
    Outcome,
)
from keyrack.stores.crediting import shortage
from keyrack.stores.opened import Stores

RENEW_SECONDS = 20.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Credits that are held for one request."""

    id: str
    balance: Balance
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the reservation may have lapsed: whoever carries the request ends it then."""


@dataclass(frozen=True, slots=True)
class Short:
    """Nothing was reserved, because a meter of the balance holds too little."""

    details: Mapping[str, Any]
    """Those of `credits_exhausted`: group, meter, available, required, reset_date."""
    is_first: bool
    """Whether it is the first refusal of this balance in its period."""


class _Ending(NamedTuple):
    """How a reservation ends."""

    outcome: Outcome
    input_units: int | None
    output_units: int


@dataclass(slots=True)
class _Lease:
    """What is renewed here, until when it stands, and how it ends once that is known."""

    held: Held
    lapses_at: float
    ending: _Ending | None = None


class Charges:
    """Reserves and ends on the balances of a store, from an event loop.

    What is carried here is renewed by a task, which lives as long as anything is.
    """

    def __init__(self, stores: Stores, *, renew_seconds: float = RENEW_SECONDS):
        self._stores = stores
        self._every = renew_seconds
        self._leases: dict[str, _Lease] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def reserve(
        self,
        upstream: Upstream,
        owner: str | None,
        *,
        cost: int,
        at_lapse: Outcome,
        reporter: str | None = None,
        input_units: int = 0,
    ) -> Held | Short:
        """Reserve what a request costs its user in this group. Raises Unavailable.

        With a reporter, the id of a proxy's key, somebody else carries the request: it is not renewed.
        A key without an owner has no balance.
        """
        account = Account(upstream.tenant, owner or "", upstream.name)
        order = Order(secrets.token_hex(16), account, cost, upstream.tiers, at_lapse, reporter, input_units)
        now, reserved = self._stores.clock(), NO_BALANCE
        if owner is not None:
            reserved = await self._ask(lambda balances: balances.reserve(order, now))
        if reserved.balance is None or reserved.short is not None:
            return Short(shortage(order, reserved), reserved.first_short)
        held = Held(order.id, reserved.balance)
        if reporter is None:
            self._carry(_Lease(held, now + LEASE_SECONDS))
        return held

    async def end(
        self,
        reservation_id: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
    ) -> bool:
        """Settle or refund; False when it has ended already.

        Where the balances cannot be told just now, the end of what was carried here is told them later,
        and this is True; for anything else it raises Unavailable.
        """
        ending = _Ending(outcome, input_units, output_units)
        lease = self._leases.get(reservation_id)
        if lease is None:
            return await self._end(reservation_id, ending)
        lease.ending = ending
        return await self._end_in_time(reservation_id, ending)

    async def renew(self) -> None:
        """Renew what is carried, once, and tell of ends that could not be told before."""
        now, ids = self._stores.clock(), list(self._leases)
        try:
            standing = await self._ask(lambda balances: balances.renew(ids, now))
        except Unavailable:
            # At the next attempt their leases may be over.
            self._lose(one for one in ids if self._lapses_at(one) <= now + self._every)
            return
        for one in standing & self._leases.keys():
            self._leases[one].lapses_at = now + LEASE_SECONDS
        self._lose(one for one in ids if one not in standing)
        await self._tell_ends()

    def _carry(self, lease: _Lease) -> None:
        self._leases[lease.held.id] = lease
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._keep_renewing())

    async def _keep_renewing(self) -> None:
        while self._leases:
            await asyncio.sleep(self._every)
            await self.renew()

    async def _tell_ends(self) -> None:
        """Tell each of the ends that are known. One that cannot be told now is told in the next round."""
        # Where each of many waits for a network, the next round of renewals must still come in time.
        until = self._stores.clock() + self._every
        for one, lease in list(self._leases.items()):
            if lease.ending is not None and self._stores.clock() < until:
                await self._end_in_time(one, lease.ending)

    async def _end_in_time(self, reservation_id: str, ending: _Ending) -> bool:
        """End it, now or in a later round; False when it has ended already."""
        try:
            return await self._end(reservation_id, ending)
        except Unavailable:
            return True

    async def _end(self, reservation_id: str, ending: _Ending) -> bool:
        outcome, input_units, output_units = ending
        ended = await self._ask(
            lambda balances: balances.end(
                reservation_id, outcome, input_units=input_units, output_units=output_units
            )
        )
        self._leases.pop(reservation_id, None)
        return ended

    def _lapses_at(self, reservation_id: str) -> float:
        """When a lease is over; never for one that has ended meanwhile."""
        lease = self._leases.get(reservation_id)
        return float("inf") if lease is None else lease.lapses_at

    def _lose(self, ids: Iterable[str]) -> None:
        for one in list(ids):
            lease = self._leases.pop(one, None)
            if lease is not None:
                lease.held.lost.set()

    async def _ask(self, call: Callable[[Balances], T]) -> T:
        """Call the balances, in a thread where that may wait for a network."""
        balances = self._stores.balances
        if balances is None:
            raise Unavailable("This store keeps no credits.", reason="unconfigured")
        if balances.blocks:
            return await asyncio.to_thread(call, balances)
        return call(balances)
