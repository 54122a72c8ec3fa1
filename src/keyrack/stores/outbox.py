"""The seam for what is told to the outside: each notice once, whichever process is first, and the
deliveries that it owes.

A notice is claimed together with its deliveries in one step, so none is told twice and none is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """It was tried as often as is sensible; `keyrack webhooks retry` sends it again."""


class Notice(NamedTuple):
    """That something was told. The id says what it is told once for."""

    id: str
    at: float


class Delivery(NamedTuple):
    """One message that one webhook is owed; times in Unix seconds."""

    message: str
    """The message's id, which the receiver sees; the same at each attempt."""
    webhook: str
    """The name of the webhook in the configuration."""
    kind: str
    body: bytes
    due_at: float
    """When it is to be tried next; while somebody is trying, when others may."""
    attempts: int = 0
    state: DeliveryState = DeliveryState.WAITING
    trouble: str | None = None
    """Why the last attempt failed."""

    @property
    def slot(self) -> tuple[str, str]:
        """What it is found by."""
        return self.message, self.webhook


class Outbox(Protocol):
    """Guarded changes alone. Every method may wait for a disk or network; raises Unavailable for trouble."""

    def claim(self, notices: Sequence[Notice], deliveries: Sequence[tuple[str, Delivery]]) -> frozenset[str]:
        """Which of these notices nobody has told yet; their deliveries (each with its notice's id) are
        kept in the same step. Whoever is given an id is the one who tells it."""

    def told_to(self) -> int | None:
        """The number of the last event of the log that was looked at; None before the first."""

    def tell_to(self, number: int) -> None:
        """Remember how far the log was looked at."""

    def remind(self, rotation: Notice) -> None:
        """Remember a key of ours, by id, and since when it is rotated, in place of what was remembered."""

    def reminders(self) -> Sequence[Notice]:
        """Every key that is remembered, in order."""

    def let_go(self, key_id: str) -> None:
        """Remember a key no more."""

    def lease(self, now: float, until: float, most: int) -> Sequence[Delivery]:
        """Waiting deliveries that are due, those due first in front; for others they are due at `until`."""

    def put(self, delivery: Delivery) -> None:
        """Write what became of a delivery."""

    def deliveries(self, state: DeliveryState | None, *, most: int) -> Sequence[Delivery]:
        """Deliveries in this state or in any, those due last in front."""

    def forget(self, before: float) -> None:
        """Drop notices told before that time, and deliveries that were due before it and wait no more."""


class MemoryOutbox:
    """An outbox in the process, gone with it. Implements Outbox."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._told: dict[str, float] = {}
        self._told_to: int | None = None
        self._reminders: dict[str, Notice] = {}
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    def claim(self, notices: Sequence[Notice], deliveries: Sequence[tuple[str, Delivery]]) -> frozenset[str]:
        with self._turn:
            new = {notice.id: notice.at for notice in notices if notice.id not in self._told}
            self._told.update(new)
            for notice_id, delivery in deliveries:
                if notice_id in new:
                    self._deliveries[delivery.slot] = delivery
            return frozenset(new)

    def told_to(self) -> int | None:
        with self._turn:
            return self._told_to

    def tell_to(self, number: int) -> None:
        with self._turn:
            self._told_to = number

    def remind(self, rotation: Notice) -> None:
        with self._turn:
            self._reminders[rotation.id] = rotation

    def reminders(self) -> Sequence[Notice]:
        with self._turn:
            return sorted(self._reminders.values())

    def let_go(self, key_id: str) -> None:
        with self._turn:
            self._reminders.pop(key_id, None)

    def lease(self, now: float, until: float, most: int) -> Sequence[Delivery]:
        with self._turn:
            due = [one for one in self._deliveries.values() if _is_due(one, now)]
            leased = sorted(due, key=lambda one: one.due_at)[:most]
            for one in leased:
                self._deliveries[one.slot] = one._replace(due_at=until)
            return leased

    def put(self, delivery: Delivery) -> None:
        with self._turn:
            self._deliveries[delivery.slot] = delivery

    def deliveries(self, state: DeliveryState | None, *, most: int) -> Sequence[Delivery]:
        with self._turn:
            found = [one for one in self._deliveries.values() if state in (None, one.state)]
        return sorted(found, key=lambda one: -one.due_at)[:most]

    def forget(self, before: float) -> None:
        with self._turn:
            self._told = {name: at for name, at in self._told.items() if at >= before}
            self._deliveries = {
                slot: one
                for slot, one in self._deliveries.items()
                if one.due_at >= before or one.state is DeliveryState.WAITING
            }


def _is_due(delivery: Delivery, now: float) -> bool:
    return delivery.state is DeliveryState.WAITING and delivery.due_at <= now
