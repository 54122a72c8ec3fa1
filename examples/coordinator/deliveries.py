"""What each webhook was answered, for 24 hours: a repetition gets the same answer and does nothing.

The memory is in the database and is written with what the webhook did, so neither a restart nor a
second process can do it twice. Every answer is remembered, refusals of the event included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from examples.coordinator import tables
from examples.coordinator.clock import Clock
from examples.coordinator.database import Database, Overtaken, settled
from examples.coordinator.problems import Conflict
from examples.coordinator.signature import Delivery

REMEMBERED_FOR = timedelta(hours=24)

Write = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a webhook. `replayed` says that it was given before."""

    status: int
    body: Mapping[str, Any]
    replayed: bool = False


Decide = Callable[[], tuple[Reply, Write | None]]
"""Reads, and says what to answer and what to write; it may be asked again."""


class Deliveries:
    """The memory of webhooks."""

    def __init__(self, database: Database, clock: Clock):
        self._database = database
        self._clock = clock

    def reply(self, delivery: Delivery, decide: Decide) -> Reply:
        """The first answer to this delivery, given now or before. Raises Conflict for another body."""
        return settled(lambda: self._reply_once(delivery, decide))

    def _reply_once(self, delivery: Delivery, decide: Decide) -> Reply:
        now = self._clock()
        earlier = self._earlier(delivery, now - REMEMBERED_FOR)
        if earlier is not None:
            return earlier
        reply, write = decide()
        with self._database.write() as connection:
            _remember(connection, delivery, reply, now)
            if write is not None:
                write(connection)
        return reply

    def _earlier(self, delivery: Delivery, since: datetime) -> Reply | None:
        known = tables.deliveries.c
        with self._database.read() as connection:
            row = connection.execute(
                select(known.body_digest, known.status, known.body).where(
                    known.webhook_id == delivery.id, known.received_at > since
                )
            ).one_or_none()
        if row is not None and row.body_digest != delivery.digest:
            raise Conflict("This webhook-id came before, with another body.")
        return None if row is None else Reply(row.status, row.body, replayed=True)


def _remember(connection: Connection, delivery: Delivery, reply: Reply, now: datetime) -> None:
    expired = tables.deliveries.c.received_at <= now - REMEMBERED_FOR
    connection.execute(delete(tables.deliveries).where(expired))
    row = {
        "webhook_id": delivery.id,
        "body_digest": delivery.digest,
        "status": reply.status,
        "body": reply.body,
        "received_at": now,
    }
    if connection.execute(insert(tables.deliveries).values(row).on_conflict_do_nothing()).rowcount != 1:
        raise Overtaken
