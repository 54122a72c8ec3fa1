"""The outbox in SQL: what was told, how far the log was looked at, and what webhooks are owed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from keyrack.stores.outbox import Delivery, DeliveryState, Notice
from keyrack.stores.sql.gateway_tables import Insert, deliveries, notices, placing, reminders, told_to
from keyrack.stores.sql.keys import Transaction

_ONE = 1
"""The id of the one row of its table."""
_DELIVERIES = select(*(deliveries.c[name] for name in Delivery._fields))
_REMINDERS = select(reminders.c.id, reminders.c.at).order_by(reminders.c.id)
_TOLD_TO = select(told_to.c.number).where(told_to.c.id == _ONE)


class SqlOutbox:
    """Implements keyrack.stores.outbox.Outbox; `writing` is alone among all that write these tables."""

    def __init__(self, reading: Transaction, writing: Transaction, insert: Insert):
        self._reading = reading
        self._writing = writing
        self._place_delivery = placing(insert, deliveries)
        self._place_told_to = placing(insert, told_to)
        self._place_reminder = placing(insert, reminders)

    def claim(self, told: Sequence[Notice], owed: Sequence[tuple[str, Delivery]]) -> frozenset[str]:
        with self._writing() as connection:
            known = select(notices.c.id).where(notices.c.id.in_([notice.id for notice in told]))
            before = set(connection.execute(known).scalars())
            new = {notice.id: notice for notice in told if notice.id not in before}
            kept = [_row(delivery) for notice_id, delivery in owed if notice_id in new]
            if new:
                connection.execute(insert(notices), [notice._asdict() for notice in new.values()])
            if kept:
                connection.execute(self._place_delivery, kept)
        return frozenset(new)

    def told_to(self) -> int | None:
        with self._reading() as connection:
            return connection.execute(_TOLD_TO).scalar_one_or_none()

    def tell_to(self, number: int) -> None:
        with self._writing() as connection:
            connection.execute(self._place_told_to, {"id": _ONE, "number": number})

    def remind(self, rotation: Notice) -> None:
        with self._writing() as connection:
            connection.execute(self._place_reminder, rotation._asdict())

    def reminders(self) -> Sequence[Notice]:
        with self._reading() as connection:
            return [Notice(*row) for row in connection.execute(_REMINDERS)]

    def let_go(self, key_id: str) -> None:
        with self._writing() as connection:
            connection.execute(delete(reminders).where(reminders.c.id == key_id))

    def lease(self, now: float, until: float, most: int) -> Sequence[Delivery]:
        is_due = (deliveries.c.state == DeliveryState.WAITING.value) & (deliveries.c.due_at <= now)
        with self._reading() as connection:
            # Asked first, so that those who have nothing to do wait for nobody.
            if connection.execute(select(deliveries.c.message).where(is_due).limit(1)).first() is None:
                return []
        with self._writing() as connection:
            due = _DELIVERIES.where(is_due).order_by(deliveries.c.due_at).limit(most)
            leased = [_delivery(row) for row in connection.execute(due)]
            for one in leased:
                connection.execute(update(deliveries).where(_is(one)).values(due_at=until))
        return leased

    def put(self, delivery: Delivery) -> None:
        with self._writing() as connection:
            connection.execute(self._place_delivery, _row(delivery))

    def deliveries(self, state: DeliveryState | None, *, most: int) -> Sequence[Delivery]:
        found = _DELIVERIES.order_by(deliveries.c.due_at.desc()).limit(most)
        if state is not None:
            found = found.where(deliveries.c.state == state.value)
        with self._reading() as connection:
            return [_delivery(row) for row in connection.execute(found)]

    def forget(self, before: float) -> None:
        with self._writing() as connection:
            connection.execute(delete(notices).where(notices.c.at < before))
            _forget_deliveries(connection, before)


def _forget_deliveries(connection: Connection, before: float) -> None:
    is_over = deliveries.c.state != DeliveryState.WAITING.value
    connection.execute(delete(deliveries).where(is_over, deliveries.c.due_at < before))


def _is(delivery: Delivery) -> Any:
    return (deliveries.c.message == delivery.message) & (deliveries.c.webhook == delivery.webhook)


def _row(delivery: Delivery) -> dict[str, Any]:
    return {**delivery._asdict(), "state": delivery.state.value}


def _delivery(row: Any) -> Delivery:
    found = Delivery(*row)
    return found._replace(state=DeliveryState(found.state))
