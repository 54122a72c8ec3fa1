"""Counts of what was sent, in SQL: rows are read, added up and written in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select

from keyrack.stores.sends import HourUse, Refuser, VersionUse, counted, merged, merged_hour
from keyrack.stores.sql.gateway_tables import Insert, hours, placing, refusers, uses
from keyrack.stores.sql.keys import Transaction

_USES = select(*(uses.c[name] for name in VersionUse._fields))
_HOURS = select(*(hours.c[name] for name in HourUse._fields))
_IN_ORDER = _HOURS.order_by(hours.c.hour_at, hours.c.upstream, hours.c.number)


class SqlSends:
    """Implements keyrack.stores.sends.Sends; `writing` is alone among all that write these tables."""

    def __init__(self, reading: Transaction, writing: Transaction, insert: Insert):
        self._reading = reading
        self._writing = writing
        self._place_use = placing(insert, uses)
        self._place_hour = placing(insert, hours)
        self._add_refuser = insert(refusers).on_conflict_do_nothing()

    def add(self, used: Sequence[VersionUse], in_hours: Sequence[HourUse], by: Sequence[Refuser]) -> None:
        with self._writing() as connection:
            known = _uses(connection, {use.upstream for use in used})
            known_hours = _same_hours(connection, in_hours)
            sums = (merged(known.get(use.slot), use) for use in used)
            hour_sums = (merged_hour(known_hours.get(one.slot), one) for one in in_hours)
            _write(connection, self._add_refuser, counted(by, known))
            _write(connection, self._place_use, sums)
            _write(connection, self._place_hour, hour_sums)

    def uses(self, upstreams: Sequence[str]) -> Mapping[tuple[str, int], VersionUse]:
        with self._reading() as connection:
            return _uses(connection, upstreams)

    def hours(self, upstreams: Sequence[str]) -> Sequence[HourUse]:
        with self._reading() as connection:
            rows = connection.execute(_IN_ORDER.where(hours.c.upstream.in_(upstreams)))
            return [HourUse(*row) for row in rows]

    def refusers(self, upstream: str, number: int) -> int:
        of_it = (refusers.c.upstream == upstream) & (refusers.c.number == number)
        with self._reading() as connection:
            return int(connection.execute(select(func.count()).where(of_it)).scalar_one())

    def forget(self, before: float) -> None:
        with self._writing() as connection:
            connection.execute(delete(hours).where(hours.c.hour_at < before))


def _uses(connection: Connection, upstreams: Iterable[str]) -> dict[tuple[str, int], VersionUse]:
    rows = connection.execute(_USES.where(uses.c.upstream.in_(sorted(upstreams))))
    found = [VersionUse(*row) for row in rows]
    return {use.slot: use for use in found}


def _same_hours(connection: Connection, wanted: Sequence[HourUse]) -> dict[tuple[str, int, float], HourUse]:
    """The hours that are wanted, as they are by now, and perhaps some beside."""
    upstreams, times = {one.upstream for one in wanted}, {one.hour_at for one in wanted}
    rows = connection.execute(
        _HOURS.where(hours.c.upstream.in_(sorted(upstreams)), hours.c.hour_at.in_(sorted(times)))
    )
    found = [HourUse(*row) for row in rows]
    return {one.slot: one for one in found}


def _write(connection: Connection, statement: Any, rows: Iterable[Any]) -> None:
    values = [row._asdict() for row in rows]
    if values:
        connection.execute(statement, values)
