"""The seam for credits: what each user has left in each group, reserved before it is spent."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from keyrack.core.upstream import Tier


class Outcome(StrEnum):
    """How a reservation ends. Final: one that has ended does not change."""

    SETTLED = "settled"
    REFUNDED = "refunded"


class Meter(StrEnum):
    """What of a balance was too little."""

    CREDITS = "credits"
    INPUT = "input"
    OUTPUT = "output"


class Account(NamedTuple):
    """Whose balance: a user's in a group of a tenant."""

    tenant: str
    owner: str
    group: str


class Balance(NamedTuple):
    """A balance as it is at the time that was passed in, so after the resets that were due by then."""

    account: Account
    tier: str
    available: int
    """Credits that are neither spent nor reserved."""
    resets_at: float | None
    """Unix seconds of the next reset; None is never."""
    input_used: int = 0
    output_used: int = 0
    user_key: int | None = None
    """The version of the user's own key of the upstream, where there is one."""


class Order(NamedTuple):
    """What a request is about to cost."""

    id: str
    """The reservation's: 128 random bits that we made. The same order again is the same reservation."""
    account: Account
    cost: int
    tiers: Sequence[Tier]
    """The group's, as they are now: a reset that is due gives the credits of the balance's tier."""
    at_lapse: Outcome
    """What becomes of the reservation when nobody renews it."""
    reporter: str | None = None
    """The id of the key that may report the outcome, where somebody else carries the request."""
    input_units: int = 0
    """What will be sent, as far as it is known: taken with the cost, and put right at the end."""


class Amendment(NamedTuple):
    """What an administrator says of a balance; None leaves a member as it is."""

    tier: str | None = None
    available: int | None = None
    resets_at: float | None = None
    user_key: int | None = None
    """The version of the user's own key; 0 takes it away."""
    input_used: int | None = None
    output_used: int | None = None


class Reserved(NamedTuple):
    """What became of an order. `short` says what was too little; then nothing was reserved."""

    balance: Balance | None
    """As it is now; None for a user without one in the group."""
    short: Meter | None = None
    first_short: bool = False
    """Whether this is the first refusal of this balance in its period."""


NO_BALANCE = Reserved(None, Meter.CREDITS)
"""For a user without a balance in the group, who has no credits there."""


class Reservation(NamedTuple):
    """One reservation as it is kept, until some time after its end."""

    id: str
    account: Account
    cost: int
    made_at: float
    lapses_at: float
    outcome: Outcome | None
    """None while it is open."""
    reporter: str | None


LEASE_SECONDS = 60.0
"""How long a reservation stands after its last renewal."""
KEPT_SECONDS = 600.0
"""How long one that has ended is still known."""
LAPSED_AT_ONCE = 1_000
"""How many one call of `lapse` ends at most."""


class Balances(Protocol):
    """Guarded changes alone: exact under any number of threads, processes and nodes.

    Each call is one atomic step. `now` is Unix seconds by the store's time. Every method but close raises
    keyrack.core.errors.Unavailable for trouble of its own; nothing is charged then, unless an answer was lost
    on a network, and then the same order may be sent again.
    """

    blocks: bool
    """Whether a call may wait for a network; an event loop must not make it then."""

    def reserve(self, order: Order, now: float) -> Reserved:
        """Take the cost from the balance for as long as the request lasts."""

    def take(self, order: Order, now: float) -> Reserved:
        """Take the cost for good: there is no reservation, and nothing to end."""

    def renew(self, ids: Sequence[str], now: float) -> frozenset[str]:
        """Put off the lapse of these; returns those that are still open."""

    def end(
        self,
        reservation_id: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
    ) -> bool:
        """Settle or refund; False when it has ended already, or never was.

        What is settled used so many units; None is what the order said. A refund gives cost and units
        back. Both go to the period that was charged: after a reset they change nothing.
        """

    def reservation(self, reservation_id: str) -> Reservation | None:
        """One reservation; None for one that there never was, or that ended long ago."""

    def lapse(self, now: float) -> int:
        """End reservations whose lease is over as they said, a bounded number at once; returns how many."""

    def amend(
        self, account: Account, amendment: Amendment, tiers: Sequence[Tier], now: float
    ) -> Balance | None:
        """Make a balance, or change what is named of one; what is charged meanwhile stays charged.

        A new one has its tier's credits unless the amendment says how many. Another tier brings its own
        next reset, not its credits. None where there is no balance and no tier was named.
        """

    def get(self, account: Account, tiers: Sequence[Tier], now: float) -> Balance | None:
        """A balance after the resets that are due."""

    def find(
        self, tenant: str, *, after: int = 0, most: int = 50, search: str = ""
    ) -> Sequence[tuple[int, Balance]]:
        """Balances of a tenant in the order in which they were made, each with its place in the list.

        Those after a place; with `search` those whose owner has this text in the name, in small letters or
        capitals. Resets that are due are left to keyrack.stores.crediting.as_of.
        """

    def remove(self, account: Account) -> bool:
        """Drop a balance; False when there was none."""

    def close(self) -> None:
        """Let go of every resource."""
