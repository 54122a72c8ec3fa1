"""What is done from time to time while the service runs: runs whose worker is gone end, dead links go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from examples.ci_results.problems import Problem
from examples.ci_results.service import Service
from keyrack import KeyrackError

EVERY_SECONDS = 60.0
log = logging.getLogger("ci_results.upkeep")


def sweep(service: Service) -> None:
    """End what is overdue now. Any number of processes may do it at once."""
    service.leases.cancel_overdue()
    service.tokens.remove_stale()


@asynccontextmanager
async def sweeping(service: Service, every_seconds: float = EVERY_SECONDS) -> AsyncIterator[None]:
    """Sweep at once and again and again, for as long as this is open."""
    task = asyncio.create_task(_sweep_again_and_again(service, every_seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _sweep_again_and_again(service: Service, every_seconds: float) -> None:
    while True:
        try:
            await asyncio.to_thread(sweep, service)
        except (Problem, KeyrackError) as problem:  # what is down now may be up the next time
            log.warning("upkeep is put off: %s", problem)
        await asyncio.sleep(every_seconds)
