"""Who presents a secret of a key after its grace: told as long as it is recognised, which is 30 days."""

from __future__ import annotations

from typing import Any

from keyrack.core.model import Reason
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.stores.journal import Refusal

HOUR_SECONDS = 3600


class LateUsers:
    """Makes signals of refusals: once an hour for each key and address. Called by a Notebook."""

    def __init__(self, signals: Signals):
        self._signals = signals

    def __call__(self, refusal: Refusal) -> None:
        """Have it told, and the alert with it, where a retired secret was refused."""
        if refusal.reason is not Reason.RETIRED or refusal.key_id is None or refusal.tenant is None:
            return
        data: dict[str, Any] = {
            "key_id": refusal.key_id,
            "address": refusal.address,
            "caller": refusal.caller,
            "times": refusal.times,
        }
        once = f"{refusal.address}/{int(refusal.at // HOUR_SECONDS)}"
        for kind in (SignalKind.OLD_KEY_REJECTED, SignalKind.ALERT_OLD_KEY_REJECTED):
            self._signals.tell(Signal(kind, refusal.tenant, refusal.key_id, data, once, refusal.at))
