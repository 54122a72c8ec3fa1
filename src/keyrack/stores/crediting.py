"""One step on one balance, over what a store has found and holds still. Pure.

A store brings a Standing and keeps what is returned, under its own lock or in its own transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from keyrack.core.records import write_time
from keyrack.core.resets import next_reset
from keyrack.core.upstream import Tier
from keyrack.stores.balances import Account, Amendment, Balance, Meter, Order, Outcome, Reserved

MICROSECONDS = 1_000_000


class Standing(NamedTuple):
    """A balance as it is kept."""

    balance: Balance
    period: int
    """Goes on by one with each reset, so that what was charged before is told from what was charged since."""
    has_refused: bool = False
    """Whether something was refused in this period."""


class Charged(NamedTuple):
    """What a reservation took, and from which period."""

    cost: int
    input_units: int
    period: int


def as_of(standing: Standing, tiers: Sequence[Tier], now: float) -> Standing:
    """After the reset that is due: the tier's credits, and nothing used.

    A balance of a tier that its group has no more keeps what it has, and gets nothing new.
    """
    balance, tier = standing.balance, tier_of(tiers, standing.balance.tier)
    if tier is None or (balance.resets_at is not None and balance.resets_at > now):
        return standing
    resets_at = next_reset(tier.reset_frequency, now)
    if balance.resets_at is None:
        return standing._replace(balance=balance._replace(resets_at=resets_at))
    fresh = balance._replace(available=tier.credits, resets_at=resets_at, input_used=0, output_used=0)
    return Standing(fresh, standing.period + 1)


def take(standing: Standing, order: Order) -> tuple[Standing, Reserved]:
    """Charge an order to a balance that is as of now, or note that it does not fit."""
    balance = standing.balance
    short = lacking(balance, order)
    if short is not None:
        reserved = Reserved(balance, short, first_short=not standing.has_refused)
        return standing._replace(has_refused=True), reserved
    after = balance._replace(
        available=balance.available - order.cost, input_used=balance.input_used + order.input_units
    )
    return standing._replace(balance=after), Reserved(after)


def lacking(balance: Balance, order: Order) -> Meter | None:
    """What of a balance is too little for an order, if anything."""
    tier = tier_of(order.tiers, balance.tier)
    if order.cost > balance.available:
        return Meter.CREDITS
    if tier is None:
        return None
    if tier.input_limit is not None and balance.input_used + order.input_units > tier.input_limit:
        return Meter.INPUT
    is_used_up = tier.output_limit is not None and balance.output_used >= tier.output_limit
    return Meter.OUTPUT if is_used_up else None


def shortage(order: Order, reserved: Reserved) -> dict[str, Any]:
    """What a refusal tells its user: which meter, what it holds, what was asked of it, and until when."""
    balance, meter = reserved.balance, reserved.short or Meter.CREDITS
    resets_at = None if balance is None else balance.resets_at
    return {
        "group": order.account.group,
        "meter": meter.value,
        "available": 0 if balance is None else left(balance, meter, order.tiers),
        "required": order.input_units if meter is Meter.INPUT else order.cost,
        "reset_date": None if resets_at is None else write_time(datetime.fromtimestamp(resets_at, UTC)),
    }


def left(balance: Balance, meter: Meter, tiers: Sequence[Tier]) -> int:
    """What this meter of a balance still holds."""
    tier = tier_of(tiers, balance.tier)
    if meter is Meter.CREDITS or tier is None:
        return balance.available
    limit, used = {
        Meter.INPUT: (tier.input_limit, balance.input_used),
        Meter.OUTPUT: (tier.output_limit, balance.output_used),
    }[meter]
    return max(0, (limit or 0) - used)


def ended(
    standing: Standing, charged: Charged, outcome: Outcome, *, input_units: int | None, output_units: int
) -> Standing:
    """A balance after one of its reservations; as it was if it has been reset since that was made."""
    if charged.period != standing.period:
        return standing
    balance = standing.balance
    if outcome is Outcome.REFUNDED:
        after = balance._replace(
            available=balance.available + charged.cost,
            input_used=balance.input_used - charged.input_units,
        )
    else:
        more = 0 if input_units is None else input_units - charged.input_units
        after = balance._replace(
            input_used=balance.input_used + more, output_used=balance.output_used + output_units
        )
    return standing._replace(balance=after)


def made(account: Account, tier: Tier, now: float) -> Standing:
    """A new balance. Its first period is no period of one that was removed before."""
    resets_at = next_reset(tier.reset_frequency, now)
    return Standing(Balance(account, tier.name, tier.credits, resets_at), int(now * MICROSECONDS))


def amended(
    standing: Standing | None, account: Account, amendment: Amendment, tiers: Sequence[Tier], now: float
) -> Standing | None:
    """What an amendment makes of a balance, or of none. The resets that were due come first."""
    tier = None if amendment.tier is None else tier_of(tiers, amendment.tier)
    if standing is not None:
        standing = as_of(standing, tiers, now)
    elif tier is not None:
        standing = made(account, tier, now)
    else:
        return None
    balance = standing.balance
    if tier is not None and tier.name != balance.tier:
        balance = balance._replace(tier=tier.name, resets_at=next_reset(tier.reset_frequency, now))
    # More credits or a later reset may be refused again, and somebody would want to hear of that.
    return Standing(_stated(balance, amendment), standing.period)


def tier_of(tiers: Sequence[Tier], name: str) -> Tier | None:
    """The tier of this name."""
    return next((tier for tier in tiers if tier.name == name), None)


def _stated(balance: Balance, amendment: Amendment) -> Balance:
    if amendment.available is not None:
        balance = balance._replace(available=amendment.available)
    if amendment.resets_at is not None:
        balance = balance._replace(resets_at=amendment.resets_at)
    if amendment.user_key is not None:
        balance = balance._replace(user_key=amendment.user_key or None)
    if amendment.input_used is not None:
        balance = balance._replace(input_used=amendment.input_used)
    if amendment.output_used is not None:
        balance = balance._replace(output_used=amendment.output_used)
    return balance
