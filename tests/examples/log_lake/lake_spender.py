"""One node that spends a quota until it is used up: `python lake_spender.py FOLDER LIMIT NUMBER`.

It says when it is ready, waits for a line, and prints how many events it was allowed to store.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime

from examples.log_lake.problems import QuotaExhausted
from examples.log_lake.quota import Quotas
from examples.log_lake.storage import Storage
from keyrack import Tenant

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MOST = 50
"""Events of one request."""


async def spend(folder: str, limit: int, seed: int) -> int:
    """Requests of a few events each, some of which fail; then single ones, until nothing is left."""
    quota = {"type": "eventCount", "limit": limit, "period": "Monthly"}
    tenant = Tenant(id="acme", name="acme", created_at=NOW, quota=quota)
    quotas = Quotas(Storage.open(f"file:{folder}"), lambda tenant_id: tenant, lambda: NOW)
    sizes, stored, events = random.Random(seed), 0, MOST
    while events:
        try:
            async with quotas.spend("acme", events=events, size=1):
                if sizes.random() < 0.1:
                    raise ConnectionError
                stored += events
        except ConnectionError:
            continue
        except QuotaExhausted:
            events -= 1
            continue
        events = min(events, sizes.randint(1, MOST))
    return stored


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(asyncio.run(spend(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
