"""One of several processes of a gateway: sends what is refused, does its chores, and says what it told."""

from __future__ import annotations

import json
import os
import sys

from patience import eventually

from keyrack import Verifier
from keyrack.gateway.monitoring.chores import Chores
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.testing import PEPPERS, FixedClock

SENDS = 50
ROUNDS = 5


def work(url: str, upstream_id: str) -> None:
    """Send with version 2, and do every chore as often as others may come between."""
    with Verifier.open(url, peppers=PEPPERS, clock=FixedClock()) as verifier:
        monitoring = Monitoring.of(verifier.stores)
        chores = Chores(verifier, monitoring)
        upstream = verifier.follower.replica.upstreams[upstream_id]
        for _ in range(ROUNDS):
            for turn in range(SENDS // ROUNDS):
                monitoring.tally.sent(upstream, 2, accepted=False, key_id=f"{os.getpid()}-{turn}")
            for job in chores.jobs:
                job.hurry()
                # Another process may hold the store for as long as the machine stands still.
                eventually(job.attempt)
        print(json.dumps(monitoring.signals.totals))


if __name__ == "__main__":
    work(*sys.argv[1:])
