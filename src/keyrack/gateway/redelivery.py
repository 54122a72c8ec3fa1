"""What becomes of a delivery after each attempt: delivered, tried again later, or dead.

Nothing here sends anything, so the command line has it without an HTTP client.
"""

from __future__ import annotations

import hashlib

from keyrack.stores.outbox import Delivery, DeliveryState

BACK_OFF = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between attempts, those that Standard Webhooks proposes; after the last one it is given up."""
JITTER = 0.2
GONE = 410
"""With this status a receiver says that it wants no more."""


def attempted(delivery: Delivery, status: int | str, now: float) -> Delivery:
    """What becomes of a delivery after an attempt that had this status, or no answer for this reason."""
    attempts = delivery.attempts + 1
    if isinstance(status, int) and 200 <= status < 300:
        return delivery._replace(attempts=attempts, state=DeliveryState.DELIVERED, trouble=None, due_at=now)
    trouble = f"answered {status}" if isinstance(status, int) else status
    if status == GONE or attempts > len(BACK_OFF):
        return delivery._replace(attempts=attempts, state=DeliveryState.DEAD, trouble=trouble, due_at=now)
    wait = BACK_OFF[attempts - 1] * (1 + JITTER * _share(delivery, attempts))
    return delivery._replace(attempts=attempts, trouble=trouble, due_at=now + wait)


def retried(delivery: Delivery, now: float) -> Delivery:
    """A delivery that is due again, with all its attempts before it."""
    return delivery._replace(attempts=0, state=DeliveryState.WAITING, trouble=None, due_at=now)


def _share(delivery: Delivery, attempt: int) -> float:
    """Between 0 and 1, evenly spread over deliveries, so that they are not all tried again at once."""
    digest = hashlib.sha256(f"{delivery.message}/{delivery.webhook}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
