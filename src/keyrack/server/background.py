"""What a server process does beside requests: metrics, the chores of the gateway, and webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from keyrack.core.errors import KeyrackError
from keyrack.gateway.chores import Chores
from keyrack.gateway.late_users import LateUsers
from keyrack.gateway.monitoring import Monitoring
from keyrack.gateway.outgoing import Outgoing
from keyrack.gateway.webhooks import Courier
from keyrack.server.metrics import Metrics
from keyrack.verifier import Verifier

METRICS_SECONDS = 1.0
COURIER_SECONDS = 1.0
FAULT_SECONDS = 5.0
"""How long to pause after a fault of ours, which would only fail again."""

log = logging.getLogger("keyrack.server")


@contextlib.asynccontextmanager
async def background(
    verifier: Verifier, monitoring: Monitoring, metrics: Metrics, *, outgoing: Outgoing
) -> AsyncIterator[None]:
    """Keep all of it going while the server serves."""
    chores = Chores(verifier, monitoring)
    courier = Courier(verifier.stores, monitoring.webhooks, outgoing, monitoring.attempts)
    verifier.notebook.watchers.append(LateUsers(monitoring.signals))
    tasks = [asyncio.create_task(_repeat(_moved(metrics), METRICS_SECONDS))]
    if monitoring.webhooks:
        tasks.append(asyncio.create_task(_repeat(courier.send_due, COURIER_SECONDS)))
    chores.start()
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(chores.stop)
    await outgoing.close()


def _moved(metrics: Metrics) -> Callable[[], Awaitable[None]]:
    async def move() -> None:
        metrics.move()

    return move


async def _repeat(work: Callable[[], Awaitable[object]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except KeyrackError as error:
            log.warning("work in the background waits: %s", error.detail)
            await asyncio.sleep(FAULT_SECONDS)
        except Exception:  # the edge of a task: a fault here must not end what is repeated
            log.exception("work in the background failed")
            await asyncio.sleep(FAULT_SECONDS)
