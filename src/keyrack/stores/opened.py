"""Everything that one URL opens, held together: keys, journal, counters, balances and the peppers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keyrack.core.peppers import Peppers
from keyrack.stores.balances import Balances
from keyrack.stores.counters import Counters
from keyrack.stores.gateway_state import GatewayState
from keyrack.stores.journal import Journal
from keyrack.stores.ledger import Ledger
from keyrack.stores.protocols import Keys

Clock = Callable[[], float]
"""Unix seconds by the store's time."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The storage seams of one store, opened together and closed together."""

    url: str = field(repr=False)
    keys: Keys
    journal: Journal
    counters: Counters
    peppers: Peppers
    clock: Clock
    balances: Balances | None = None
    """Where credits are kept; None where nothing can be changed under a guard."""
    gateway: GatewayState = field(default_factory=GatewayState)
    """What the processes of a gateway share beside."""
    ledger: Ledger = field(init=False)
    fixed: bool = False
    """True where keys come from the environment and cannot be changed here."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ledger", Ledger(self.keys, self.peppers))

    def close(self) -> None:
        """Let go of every resource."""
        for part in (self.gateway, self.balances, self.counters, self.journal, self.keys):
            if part is not None:
                part.close()
