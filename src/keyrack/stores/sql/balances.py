"""Balances in two tables: each step reads one row of them for itself alone, and writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    select,
    update,
)

from keyrack.core.upstream import Tier
from keyrack.stores import crediting
from keyrack.stores.balances import (
    KEPT_SECONDS,
    LAPSED_AT_ONCE,
    LEASE_SECONDS,
    NO_BALANCE,
    Account,
    Amendment,
    Balance,
    Order,
    Outcome,
    Reservation,
    Reserved,
)
from keyrack.stores.crediting import Charged, Standing
from keyrack.stores.sql.keys import Transaction, translated

metadata = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

balances = Table(
    "credit_balances",
    metadata,
    Column("serial", _Number, primary_key=True, autoincrement=True),
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("credit_group", String, nullable=False),
    Column("tier", String, nullable=False),
    Column("available", _Number, nullable=False),
    Column("resets_at", Double),
    Column("input_used", _Number, nullable=False),
    Column("output_used", _Number, nullable=False),
    Column("user_key", _Number),
    Column("period", _Number, nullable=False),
    Column("has_refused", Boolean, nullable=False),
    UniqueConstraint("tenant", "owner", "credit_group", name="credit_balances_account"),
    Index("credit_balances_tenant", "tenant", "serial"),
    sqlite_autoincrement=True,
)
reservations = Table(
    "credit_reservations",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("credit_group", String, nullable=False),
    Column("cost", _Number, nullable=False),
    Column("input_units", _Number, nullable=False),
    Column("period", _Number, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("lapses_at", Double, nullable=False),
    Column("at_lapse", String, nullable=False),
    Column("outcome", String),
    Column("reporter", String),
    Index("credit_reservations_lapse", "lapses_at"),
)

_BALANCE = tuple(column for column in balances.c if column.name != "serial")
_STATED = _BALANCE[3:]
"""All but whose it is."""
_IS_THEIRS = (
    (balances.c.tenant == bindparam("a_tenant"))
    & (balances.c.owner == bindparam("an_owner"))
    & (balances.c.credit_group == bindparam("a_group"))
)
_LOOK = select(*_BALANCE).where(_IS_THEIRS)
_HOLD = _LOOK.with_for_update()
_STATE = update(balances).where(_IS_THEIRS).values({one.name: bindparam(one.name) for one in _STATED})
_REMOVE = delete(balances).where(_IS_THEIRS)
_OPEN = reservations.c.outcome.is_(None)
_END = (
    update(reservations)
    .where(reservations.c.id == bindparam("one"), _OPEN)
    .values(outcome=bindparam("ends"))
    .returning(
        reservations.c.tenant,
        reservations.c.owner,
        reservations.c.credit_group,
        reservations.c.cost,
        reservations.c.input_units,
        reservations.c.period,
    )
)
_IS_DUE = reservations.c.lapses_at <= bindparam("now")
_LAPSE = _END.where(_IS_DUE)
_DUE = (
    select(reservations.c.id, reservations.c.at_lapse)
    .where(_OPEN, _IS_DUE)
    .order_by(reservations.c.lapses_at)
    .limit(LAPSED_AT_ONCE)
)
_FORGET = delete(reservations).where(~_OPEN, reservations.c.lapses_at < bindparam("long_ago"))


class SqlBalances:
    """Implements keyrack.stores.balances.Balances on transactions that a database module opens.

    `insert` is the database's own form of it, which knows what to do where a row is there already.
    """

    def __init__(
        self,
        *,
        reading: Transaction,
        writing: Transaction,
        blocks: bool,
        insert: Callable[[Table], Any],
    ):
        self._reading = translated(reading)
        self._writing = translated(writing)
        self.blocks = blocks
        self._make = insert(balances).on_conflict_do_nothing().returning(balances.c.serial)
        self._keep = insert(reservations).on_conflict_do_nothing().returning(reservations.c.id)

    def reserve(self, order: Order, now: float) -> Reserved:
        with self._writing() as connection:
            return self._charge(connection, order, now, is_kept=True)

    def take(self, order: Order, now: float) -> Reserved:
        with self._writing() as connection:
            return self._charge(connection, order, now, is_kept=False)

    def renew(self, ids: Sequence[str], now: float) -> frozenset[str]:
        if not ids:
            return frozenset()
        found = update(reservations).where(reservations.c.id.in_(ids), _OPEN)
        renewed = found.values(lapses_at=now + LEASE_SECONDS).returning(reservations.c.id)
        with self._writing() as connection:
            return frozenset(connection.execute(renewed).scalars())

    def end(
        self,
        reservation_id: str,
        outcome: Outcome,
        *,
        input_units: int | None = None,
        output_units: int = 0,
    ) -> bool:
        with self._writing() as connection:
            ends = {"one": reservation_id, "ends": outcome.value}
            row = connection.execute(_END, ends).one_or_none()
            return _booked(connection, row, outcome, input_units=input_units, output_units=output_units)

    def reservation(self, reservation_id: str) -> Reservation | None:
        found = select(reservations).where(reservations.c.id == reservation_id)
        with self._reading() as connection:
            row = connection.execute(found).one_or_none()
        if row is None:
            return None
        return Reservation(
            row.id,
            Account(row.tenant, row.owner, row.credit_group),
            row.cost,
            row.made_at,
            row.lapses_at,
            None if row.outcome is None else Outcome(row.outcome),
            row.reporter,
        )

    def lapse(self, now: float) -> int:
        with self._writing() as connection:
            connection.execute(_FORGET, {"long_ago": now - KEPT_SECONDS})
            due = connection.execute(_DUE, {"now": now}).all()
        # One by one, since whoever holds two balances at once may wait for somebody who does, too.
        return sum(self._lapsed(one, Outcome(at_lapse), now) for one, at_lapse in due)

    def amend(
        self, account: Account, amendment: Amendment, tiers: Sequence[Tier], now: float
    ) -> Balance | None:
        with self._writing() as connection:
            before = _standing(connection, account)
            if before is None:
                return self._begin(connection, account, amendment, tiers, now)
            return _amend(connection, before, amendment, tiers, now)

    def get(self, account: Account, tiers: Sequence[Tier], now: float) -> Balance | None:
        with self._reading() as connection:
            row = connection.execute(_LOOK, _theirs(account)).one_or_none()
        return None if row is None else crediting.as_of(_read(row), tiers, now).balance

    def find(
        self, tenant: str, *, after: int = 0, most: int = 50, search: str = ""
    ) -> Sequence[tuple[int, Balance]]:
        found = select(balances.c.serial, *_BALANCE).where(
            balances.c.tenant == tenant, balances.c.serial > after
        )
        if search:
            found = found.where(balances.c.owner.icontains(search, autoescape=True))
        with self._reading() as connection:
            rows = connection.execute(found.order_by(balances.c.serial).limit(most)).all()
        return [(row[0], _read(row[1:]).balance) for row in rows]

    def remove(self, account: Account) -> bool:
        with self._writing() as connection:
            return connection.execute(_REMOVE, _theirs(account)).rowcount == 1

    def _lapsed(self, reservation_id: str, outcome: Outcome, now: float) -> bool:
        """End a reservation unless somebody has ended or renewed it since it was listed."""
        with self._writing() as connection:
            ends = {"one": reservation_id, "ends": outcome.value, "now": now}
            return _booked(connection, connection.execute(_LAPSE, ends).one_or_none(), outcome)

    def _charge(self, connection: Connection, order: Order, now: float, *, is_kept: bool) -> Reserved:
        before = _standing(connection, order.account)
        if before is None:
            return NO_BALANCE
        after, reserved = crediting.take(crediting.as_of(before, order.tiers, now), order)
        if is_kept and reserved.short is None and not self._reserved(connection, order, after.period, now):
            return Reserved(before.balance)
        _state(connection, before, after)
        return reserved

    def _reserved(self, connection: Connection, order: Order, period: int, now: float) -> bool:
        """Keep a reservation; False where there is one of this id."""
        row = {
            **_named(order.account),
            "id": order.id,
            "cost": order.cost,
            "input_units": order.input_units,
            "period": period,
            "made_at": now,
            "lapses_at": now + LEASE_SECONDS,
            "at_lapse": order.at_lapse.value,
            "reporter": order.reporter,
        }
        return connection.execute(self._keep, row).one_or_none() is not None

    def _begin(
        self,
        connection: Connection,
        account: Account,
        amendment: Amendment,
        tiers: Sequence[Tier],
        now: float,
    ) -> Balance | None:
        """Make a balance; one that somebody else has made meanwhile is amended."""
        made = crediting.amended(None, account, amendment, tiers, now)
        if made is None:
            return None
        if connection.execute(self._make, _named(account) | _written(made)).one_or_none():
            return made.balance
        before = _standing(connection, account)
        # What was made may be removed again by now; then the last word is that there is none.
        return None if before is None else _amend(connection, before, amendment, tiers, now)


def _booked(
    connection: Connection,
    row: Sequence[Any] | None,
    outcome: Outcome,
    *,
    input_units: int | None = None,
    output_units: int = 0,
) -> bool:
    """Write to its balance what the reservation that just ended comes to; False where none did."""
    if row is None:
        return False
    account, charged = Account(*row[:3]), Charged(*row[3:])
    before = _standing(connection, account)
    if before is not None:
        after = crediting.ended(before, charged, outcome, input_units=input_units, output_units=output_units)
        _state(connection, before, after)
    return True


def _standing(connection: Connection, account: Account) -> Standing | None:
    """A balance, nobody else's until the transaction ends."""
    row = connection.execute(_HOLD, _theirs(account)).one_or_none()
    return None if row is None else _read(row)


def _state(connection: Connection, before: Standing, after: Standing) -> None:
    if after != before:
        connection.execute(_STATE, _theirs(after.balance.account) | _written(after))


def _amend(
    connection: Connection, before: Standing, amendment: Amendment, tiers: Sequence[Tier], now: float
) -> Balance | None:
    after = crediting.amended(before, before.balance.account, amendment, tiers, now)
    if after is None:
        return None
    _state(connection, before, after)
    return after.balance


def _theirs(account: Account) -> dict[str, Any]:
    return {"a_tenant": account.tenant, "an_owner": account.owner, "a_group": account.group}


def _named(account: Account) -> dict[str, Any]:
    return {"tenant": account.tenant, "owner": account.owner, "credit_group": account.group}


def _written(standing: Standing) -> dict[str, Any]:
    balance = standing.balance._asdict()
    del balance["account"]
    return {**balance, "period": standing.period, "has_refused": standing.has_refused}


def _read(row: Sequence[Any]) -> Standing:
    tenant, owner, group, *balance, period, has_refused = row
    return Standing(Balance(Account(tenant, owner, group), *balance), period, has_refused)
