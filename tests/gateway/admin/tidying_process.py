"""One of several processes that tidy the same store at once."""

from __future__ import annotations

from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from keyrack import Verifier
from keyrack.gateway.admin.tidying import tidy
from keyrack.testing import PEPPERS

PATIENCE_SECONDS = 120.0


def tidy_at(url: str, times: list[datetime], gate: Barrier, told: Connection) -> None:
    """Tidy at each of these times, together with the others; tell how many groups were changed in all."""
    changed = 0
    with Verifier.open(url, peppers=PEPPERS) as verifier:
        for now in times:
            gate.wait(PATIENCE_SECONDS)
            changed += tidy(verifier.stores, verifier.follower.replica, now)
            gate.wait(PATIENCE_SECONDS)
            verifier.follower.poll()
    told.send(changed)
