"""Who has used up the credits of a group: told at the first refusal in each of their periods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyrack.gateway.monitoring.signals import Signal, SignalKind
from keyrack.stores.balances import Account


def exhausted(account: Account, short: Mapping[str, Any]) -> Signal:
    """What is told of a balance that was refused something; `short` is what the refusal says."""
    told = {"owner": account.owner, "meter": short["meter"]}
    once = f"{account.owner}/{short['reset_date']}"
    return Signal(SignalKind.CREDITS_EXHAUSTED, account.tenant, account.group, told, once)
