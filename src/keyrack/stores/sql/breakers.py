"""Circuit breakers in SQL: a row is read, moved on by a pure transition, and written."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from keyrack.stores.breakers import Breaker, after_failure
from keyrack.stores.sql.gateway_tables import Insert, breakers, placing
from keyrack.stores.sql.keys import Transaction

_BREAKERS = select(*(breakers.c[name] for name in Breaker._fields))


class SqlBreakers:
    """Implements keyrack.stores.breakers.Breakers; `writing` is alone among all that write this table."""

    def __init__(self, reading: Transaction, writing: Transaction, insert: Insert):
        self._reading = reading
        self._writing = writing
        self._place = placing(insert, breakers)

    def all(self) -> Mapping[str, Breaker]:
        with self._reading() as connection:
            found = [Breaker(*row) for row in connection.execute(_BREAKERS)]
        return {one.server: one for one in found}

    def failed(self, server: str, now: float) -> Breaker:
        with self._writing() as connection:
            after = after_failure(_known(connection, server) or Breaker(server), now)
            connection.execute(self._place, after._asdict())
        return after

    def attempt(self, server: str, now: float) -> bool:
        with self._writing() as connection:
            breaker = _known(connection, server)
            if breaker is None or not breaker.is_open:
                return True
            if not breaker.may_try(now):
                return False
            connection.execute(self._place, breaker._replace(trying_at=now)._asdict())
        return True

    def succeeded(self, server: str) -> None:
        with self._writing() as connection:
            connection.execute(delete(breakers).where(breakers.c.server == server))


def _known(connection: Connection, server: str) -> Breaker | None:
    row = connection.execute(_BREAKERS.where(breakers.c.server == server)).one_or_none()
    return None if row is None else Breaker(*row)
