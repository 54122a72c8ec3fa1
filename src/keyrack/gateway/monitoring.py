"""What one process of a gateway counts and tells, made together."""

from __future__ import annotations

from typing import NamedTuple, Self

from keyrack.core.webhooks import Webhooks
from keyrack.gateway.breaker import CircuitBreakers
from keyrack.gateway.signals import Signals
from keyrack.gateway.tally import Tally
from keyrack.gateway.webhooks import Messages
from keyrack.stores.opened import Stores


class Monitoring(NamedTuple):
    """Counts, circuit breakers and signals. keyrack.gateway.chores keeps them going."""

    tally: Tally
    breakers: CircuitBreakers
    signals: Signals

    @classmethod
    def of(cls, stores: Stores, webhooks: Webhooks | None = None) -> Self:
        """Those on this store, with messages to these webhooks."""
        messages = Messages(webhooks) if webhooks else None
        return cls(Tally(stores), CircuitBreakers(stores), Signals(stores, messages))
