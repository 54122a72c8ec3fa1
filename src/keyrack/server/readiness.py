"""What a node says of itself: whether it can decide, how old what it knows is, and what is wrong."""

from __future__ import annotations

from typing import Any

from keyrack.stores.follower import NEVER
from keyrack.verifier import Verifier


def readiness(verifier: Verifier) -> dict[str, Any]:
    """Ready, and the age of the replica in seconds, the last event applied, the trouble if any, and
    who counts limits together: a `process`, a `machine`, or all nodes `everywhere`.
    """
    follower = verifier.follower
    doubt = verifier.doubt()
    age = None if follower.confirmed_at == NEVER else round(follower.age(), 3)
    return {
        "ready": doubt is None,
        "reason": None if doubt is None else doubt.value,
        "trouble": follower.trouble,
        "limits_counted": verifier.stores.counters.reach,
        "replica": {
            "age_seconds": age,
            "max_stale_seconds": follower.max_stale,
            "keys": follower.replica.in_all,
            "keys_held": len(follower.replica),
            "event": follower.replica.head.number,
        },
    }
