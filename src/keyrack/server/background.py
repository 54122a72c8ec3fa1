"""What a server process does beside requests: metrics, the chores of the gateway, and webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from keyrack.core.errors import KeyrackError
from keyrack.core.model import Network
from keyrack.core.webhooks import Webhooks
from keyrack.gateway.monitoring.chores import Chores
from keyrack.gateway.monitoring.exhausted import exhausted
from keyrack.gateway.monitoring.late_users import LateUsers
from keyrack.gateway.monitoring.outgoing import Outgoing
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.gateway.monitoring.webhooks import Courier
from keyrack.server.metrics import Metrics
from keyrack.verifier import Verifier

METRICS_SECONDS = 1.0
COURIER_SECONDS = 1.0
FAULT_SECONDS = 5.0
"""How long to pause after something failed, which would only fail again."""

log = logging.getLogger("keyrack.server")


class Background:
    """Made before the server serves, and kept going while it does."""

    def __init__(
        self, verifier: Verifier, webhooks: Webhooks | None = None, *, networks: Sequence[Network] = ()
    ):
        """`networks` are those that webhooks of any tenant may be in, though they are not public."""
        self._verifier = verifier
        self._networks = networks
        self.monitoring = Monitoring.of(verifier.stores, webhooks)
        self.metrics = Metrics(verifier, self.monitoring)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep all of it going, in the event loop that serves and in a thread beside."""
        signals = self.monitoring.signals
        self._verifier.notebook.watchers.append(LateUsers(signals))
        self._verifier.watch_credits(lambda account, short: signals.tell(exhausted(account, short)))
        chores = Chores(self._verifier, self.monitoring)
        tasks = (asyncio.create_task(self._move_metrics()), asyncio.create_task(self._tell_webhooks()))
        chores.start()
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(chores.stop)

    async def _move_metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_SECONDS)
            self.metrics.move()

    async def _tell_webhooks(self) -> None:
        webhooks, attempts = self.monitoring.webhooks, self.monitoring.attempts
        if not webhooks:
            return
        async with contextlib.AsyncExitStack() as ending:
            outgoing = Outgoing(self._networks)
            ending.push_async_callback(outgoing.close)
            courier = Courier(self._verifier.stores, webhooks, outgoing, attempts)
            while True:
                await asyncio.sleep(COURIER_SECONDS)
                await _attempted(courier.send_due)


async def _attempted(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except KeyrackError as error:
        log.warning("webhooks wait: %s", error.detail)
        await asyncio.sleep(FAULT_SECONDS)
    except Exception:  # the edge of a task: a fault here must not end what is repeated
        log.exception("webhooks cannot be told")
        await asyncio.sleep(FAULT_SECONDS)
