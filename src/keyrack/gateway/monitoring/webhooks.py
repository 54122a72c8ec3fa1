"""Messages to webhooks: made when a signal is told, sent behind, tried again, and given up in the end."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator

import aiohttp

from keyrack.core.model import DEFAULT_TENANT
from keyrack.core.webhooks import Webhook, Webhooks
from keyrack.gateway.monitoring.outgoing import Outgoing
from keyrack.gateway.monitoring.signals import Signal, content
from keyrack.gateway.redelivery import attempted
from keyrack.stores.opened import Stores
from keyrack.stores.outbox import Delivery, DeliveryState, Notice

AT_ONCE = 20
ANSWER = aiohttp.ClientTimeout(total=15.0)
LEASE_SECONDS = 60.0
"""How long one process has for an attempt before others may make it."""


class Messages:
    """Makes the messages that signals owe. Implements keyrack.gateway.monitoring.signals.Addressing."""

    def __init__(self, webhooks: Webhooks):
        self._webhooks = webhooks

    def deliveries(self, signal: Signal, notice: Notice) -> Iterator[Delivery]:
        """One for each webhook that wants this signal, due at once."""
        told = content(signal, notice)
        message = {"type": signal.kind.value, "timestamp": told.pop("at"), "data": told}
        body = json.dumps(message, separators=(",", ":")).encode()
        message_id = f"msg_{hashlib.sha256(notice.id.encode()).hexdigest()[:32]}"
        for webhook in self._webhooks:
            if webhook.wants(signal.kind.value, signal.tenant):
                yield Delivery(message_id, webhook.name, signal.kind.value, body, notice.at)


class Courier:
    """Sends what is due, from the event loop that `outgoing` belongs to."""

    def __init__(self, stores: Stores, webhooks: Webhooks, outgoing: Outgoing, totals: Counter[str]):
        self._outbox = stores.gateway.outbox
        self._clock = stores.clock
        self._webhooks = webhooks
        self._outgoing = outgoing
        self._totals = totals

    async def send_due(self) -> int:
        """Make one attempt at each delivery that is due, some at once; returns how many.

        Raises Unavailable.
        """
        now = self._clock()
        due = await asyncio.to_thread(self._outbox.lease, now, now + LEASE_SECONDS, AT_ONCE)
        await asyncio.gather(*(self._send(one) for one in due))
        return len(due)

    async def _send(self, delivery: Delivery) -> None:
        webhook = self._webhooks.get(delivery.webhook)
        status: int | str = "no webhook of this name is configured"
        if webhook is not None:
            status = await self._attempt(webhook, delivery)
        after = attempted(delivery, status, self._clock())
        self._totals["failed" if after.state is DeliveryState.WAITING else after.state.value] += 1
        await asyncio.to_thread(self._outbox.put, after)

    async def _attempt(self, webhook: Webhook, delivery: Delivery) -> int | str:
        """The status of the answer, or why there was none."""
        headers = webhook.headers(delivery.message, delivery.body, at=int(self._clock()))
        session = self._outgoing.session(webhook.tenant or DEFAULT_TENANT)
        try:
            async with session.post(
                webhook.url, data=delivery.body, headers=headers, allow_redirects=False, timeout=ANSWER
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Only the class: a message may quote an address of the inner network.
            return type(error).__name__
