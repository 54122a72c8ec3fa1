"""Balances of one process, gone with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count, islice
from typing import NamedTuple

from keyrack.core.upstream import Tier
from keyrack.stores import crediting
from keyrack.stores.balances import (
    KEPT_SECONDS,
    LAPSED_AT_ONCE,
    LEASE_SECONDS,
    NO_BALANCE,
    Account,
    Amendment,
    Balance,
    Order,
    Outcome,
    Reservation,
    Reserved,
)
from keyrack.stores.crediting import Charged, Standing


class MemoryBalances:
    """Implements keyrack.stores.balances.Balances in dictionaries under one lock."""

    blocks = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standings: dict[Account, Standing] = {}
        self._places: dict[Account, int] = {}
        self._numbers = count(1)
        self._kept: dict[str, _Kept] = {}

    def reserve(self, order: Order, now: float) -> Reserved:
        with self._lock:
            if order.id in self._kept:
                standing = self._standings.get(order.account)
                return Reserved(None if standing is None else standing.balance)
            return self._reserve(order, now)

    def take(self, order: Order, now: float) -> Reserved:
        with self._lock:
            return self._take(order, now)

    def renew(self, ids: Sequence[str], now: float) -> frozenset[str]:
        with self._lock:
            found = frozenset(one for one in ids if one in self._kept and self._kept[one].is_open)
            for one in found:
                kept = self._kept[one]
                self._kept[one] = kept.until(now + LEASE_SECONDS)
            return found

    def end(
        self,
        reservation_id: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
    ) -> bool:
        with self._lock:
            return self._end(reservation_id, outcome, input_units, output_units)

    def reservation(self, reservation_id: str) -> Reservation | None:
        with self._lock:
            kept = self._kept.get(reservation_id)
        return None if kept is None else kept.reservation

    def lapse(self, now: float) -> int:
        with self._lock:
            self._forget(now)
            due = [one for one in self._kept.values() if one.is_open and one.reservation.lapses_at <= now]
            for one in due[:LAPSED_AT_ONCE]:
                self._end(one.reservation.id, one.at_lapse, None, 0)
        return len(due[:LAPSED_AT_ONCE])

    def amend(
        self, account: Account, amendment: Amendment, tiers: Sequence[Tier], now: float
    ) -> Balance | None:
        with self._lock:
            standing = crediting.amended(self._standings.get(account), account, amendment, tiers, now)
            if standing is None:
                return None
            self._standings[account] = standing
            self._places.setdefault(account, next(self._numbers))
            return standing.balance

    def get(self, account: Account, tiers: Sequence[Tier], now: float) -> Balance | None:
        with self._lock:
            standing = self._standings.get(account)
        return None if standing is None else crediting.as_of(standing, tiers, now).balance

    def find(
        self, tenant: str, *, after: int = 0, most: int = 50, search: str = ""
    ) -> Sequence[tuple[int, Balance]]:
        with self._lock:
            placed = sorted((place, account) for account, place in self._places.items() if place > after)
            wanted = (
                (place, self._standings[account].balance)
                for place, account in placed
                if account.tenant == tenant and search.lower() in account.owner.lower()
            )
            return list(islice(wanted, most))

    def remove(self, account: Account) -> bool:
        with self._lock:
            self._places.pop(account, None)
            return self._standings.pop(account, None) is not None

    def close(self) -> None:
        """Nothing to let go of."""

    def _reserve(self, order: Order, now: float) -> Reserved:
        reserved = self._take(order, now)
        if reserved.balance is not None and reserved.short is None:
            period = self._standings[order.account].period
            made = Reservation(
                order.id, order.account, order.cost, now, now + LEASE_SECONDS, None, order.reporter
            )
            self._kept[order.id] = _Kept(made, order.at_lapse, Charged(order.cost, order.input_units, period))
        return reserved

    def _take(self, order: Order, now: float) -> Reserved:
        standing = self._standings.get(order.account)
        if standing is None:
            return NO_BALANCE
        standing, reserved = crediting.take(crediting.as_of(standing, order.tiers, now), order)
        self._standings[order.account] = standing
        return reserved

    def _end(self, reservation_id: str, outcome: Outcome, input_units: int | None, output_units: int) -> bool:
        kept = self._kept.get(reservation_id)
        if kept is None or not kept.is_open:
            return False
        self._kept[reservation_id] = kept.ended(outcome)
        account = kept.reservation.account
        standing = self._standings.get(account)
        if standing is not None:
            self._standings[account] = crediting.ended(
                standing, kept.charged, outcome, input_units=input_units, output_units=output_units
            )
        return True

    def _forget(self, now: float) -> None:
        long_ago = now - KEPT_SECONDS
        self._kept = {
            key: one for key, one in self._kept.items() if one.is_open or one.reservation.lapses_at > long_ago
        }


class _Kept(NamedTuple):
    """A reservation, and what is to be known of it at its end."""

    reservation: Reservation
    at_lapse: Outcome
    charged: Charged

    @property
    def is_open(self) -> bool:
        return self.reservation.outcome is None

    def until(self, lapses_at: float) -> _Kept:
        return self._replace(reservation=self.reservation._replace(lapses_at=lapses_at))

    def ended(self, outcome: Outcome) -> _Kept:
        return self._replace(reservation=self.reservation._replace(outcome=outcome))
