"""What one process of a gateway counts and tells, made together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from keyrack.core.webhooks import Webhooks
from keyrack.gateway.monitoring.breaker import CircuitBreakers
from keyrack.gateway.monitoring.signals import Signals
from keyrack.gateway.monitoring.tally import Tally
from keyrack.gateway.monitoring.webhooks import Messages
from keyrack.stores.opened import Stores


@dataclass(frozen=True, slots=True)
class Monitoring:
    """Counts, circuit breakers and signals. keyrack.gateway.monitoring.chores keeps them going."""

    tally: Tally
    breakers: CircuitBreakers
    signals: Signals
    webhooks: Webhooks
    attempts: Counter[str] = field(default_factory=Counter)
    """Attempts to tell a webhook by outcome, since the start."""

    @classmethod
    def of(cls, stores: Stores, webhooks: Webhooks | None = None) -> Self:
        """Those on this store, with messages to these webhooks."""
        given = webhooks or Webhooks()
        return cls(Tally(stores), CircuitBreakers(stores), Signals(stores, Messages(given)), given)
