"""Keyrack's store of records and their log in SQL: statements and rows, nothing of what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Executable,
    LargeBinary,
    Row,
    Select,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from keyrack.core.errors import Unavailable
from keyrack.core.events import Entry
from keyrack.stores.protocols import (
    Batch,
    Change,
    Excerpt,
    Kind,
    Listing,
    Mark,
    Plan,
    Reading,
    Record,
    Reseal,
    Snapshot,
)
from keyrack.stores.sql.tables import log, marks, records


def _read(column: Column[Any]) -> ColumnElement[Any]:
    # SQLite keeps what it is given: text that somebody put in the place of bytes must still be bytes.
    if isinstance(column.type, LargeBinary):
        return cast(column, LargeBinary).label(column.name)
    return column


_ENTRY = tuple(_read(log.c[name]) for name in Entry._fields)
_RECORD = tuple(_read(records.c[name]) for name in Record._fields)
_CHUNK = 10_000

Transaction = Callable[[], AbstractContextManager[Connection]]


class SqlView:
    """What the tables hold, as one connection sees them."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def last(self) -> Entry | None:
        return _entry(self._connection.execute(_LAST).one_or_none())

    def record(self, kind: Kind, record_id: str) -> Record | None:
        found = self._connection.execute(_BY_ID, {"kind": kind.value, "id": record_id})
        return _record(found.one_or_none())

    def named(self, tenant: str, name: str) -> Sequence[Record]:
        found = select(*_RECORD).where(
            records.c.kind == Kind.KEY.value, records.c.tenant == tenant, records.c.name == name
        )
        return _records(self._connection.execute(found))

    def changed_since(self, number: int) -> Sequence[Record]:
        about = select(log.c.kind, log.c.subject).where(log.c.number > number, log.c.subject.is_not(None))
        here = tuple_(records.c.kind, records.c.id)
        return _records(self._connection.execute(select(*_RECORD).where(here.in_(about))))

    def mark(self, token: bytes) -> Mark | None:
        row = self._connection.execute(select(marks).where(marks.c.token == token)).one_or_none()
        return Mark(**row._mapping) if row else None

    def records(self) -> Iterator[tuple[str, str, bytes, str, bytes]]:
        columns = [_read(records.c[name]) for name in ("kind", "id", "body", "pepper", "mac")]
        rows = self._connection.execution_options(yield_per=_CHUNK).execute(select(*columns))
        for chunk in rows.partitions():
            yield from chunk

    def count(self) -> int:
        return int(self._connection.execute(_COUNT).scalar_one())


class SqlKeys:
    """Implements keyrack.stores.protocols.Keys on transactions that a database module opens.

    `reading` sees one instant; `writing` is alone among all writers until it ends. `announce` is run in
    each transaction that adds to the log, where a database can tell others of it.
    """

    def __init__(
        self,
        *,
        reading: Transaction,
        writing: Transaction,
        blocks: bool,
        announce: Executable | None = None,
    ):
        self._reading = translated(reading)
        self._writing = translated(writing)
        self._announce = announce
        self.blocks = blocks

    def commit(self, plan: Plan) -> Batch:
        with self._writing() as connection:
            batch = plan(SqlView(connection))
            if batch.entries:
                _write(connection, batch)
                self._tell(connection)
            return batch

    def reseal(self, seals: Sequence[Reseal]) -> int:
        rows = [{f"new_{name}": value for name, value in one._asdict().items()} for one in seals]
        with self._writing() as connection:
            return connection.execute(_RESEAL, rows).rowcount if rows else 0

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._reading() as connection:
            yield SqlView(connection)

    def last(self) -> Entry | None:
        with self._reading() as connection:
            return SqlView(connection).last()

    def since(self, number: int, most: int) -> Sequence[Change]:
        found = (
            select(*_ENTRY, *(column.label(f"record_{column.name}") for column in _RECORD))
            .outerjoin_from(log, records, (log.c.kind == records.c.kind) & (log.c.subject == records.c.id))
            .where(log.c.number > number)
            .order_by(log.c.number)
            .limit(most)
        )
        with self._reading() as connection:
            rows = connection.execute(found).all()
        size = len(_ENTRY)
        return [Change(Entry(*row[:size]), _record(row[size:])) for row in rows]

    def entries(self, excerpt: Excerpt) -> Sequence[Entry]:
        found = select(*_ENTRY).where(log.c.number > excerpt.after).order_by(log.c.number)
        if excerpt.tenant is not None:
            found = found.where(log.c.tenant == excerpt.tenant)
        if excerpt.subject is not None:
            found = found.where(log.c.subject == excerpt.subject)
        with self._reading() as connection:
            return [Entry(*row) for row in connection.execute(found.limit(excerpt.most))]

    def record(self, kind: Kind, record_id: str) -> Record | None:
        with self._reading() as connection:
            return SqlView(connection).record(kind, record_id)

    def read(self, kind: Kind, record_id: str) -> Reading:
        with self._reading() as connection:
            number, *row = connection.execute(_READING, {"kind": kind.value, "id": record_id}).one()
        return Reading(number, _record(row))

    def records(self, listing: Listing) -> Sequence[Record]:
        with self._reading() as connection:
            return _records(connection.execute(_listed(listing)))

    def peppers_in_use(self) -> Iterable[Entry]:
        lasts = select(func.max(log.c.number)).group_by(log.c.pepper)
        with self._reading() as connection:
            found = connection.execute(select(*_ENTRY).where(log.c.number.in_(lasts)))
            return [Entry(*row) for row in found]

    def marks(self) -> Sequence[Mark]:
        with self._reading() as connection:
            return [Mark(*row) for row in connection.execute(select(marks))]

    def forget_marks(self, before: float) -> None:
        with self._writing() as connection:
            connection.execute(delete(marks).where(marks.c.at < before))

    def _tell(self, connection: Connection) -> None:
        if self._announce is not None:
            connection.execute(self._announce)


_RESEAL = (
    update(records)
    .where(
        records.c.kind == bindparam("new_kind"),
        records.c.id == bindparam("new_id"),
        records.c.mac == bindparam("new_was"),
    )
    .values(pepper=bindparam("new_pepper"), mac=bindparam("new_mac"))
)
_IS_THIS = (records.c.kind == bindparam("kind")) & (records.c.id == bindparam("id"))
_BY_ID = select(*_RECORD).where(_IS_THIS)
_END = select(func.coalesce(func.max(log.c.number), 0).label("number")).subquery()
# One statement, so that both are of one instant however a database isolates transactions.
_READING = select(_END.c.number, *_RECORD).select_from(_END.outerjoin(records, _IS_THIS))
_COUNT = select(func.count()).select_from(records)
_LAST = select(*_ENTRY).order_by(log.c.number.desc()).limit(1)


def translated(transaction: Transaction) -> Transaction:
    """The same transaction, with the driver's errors turned into Unavailable: the one place for it."""

    @contextmanager
    def guarded() -> Iterator[Connection]:
        try:
            with transaction() as connection:
                yield connection
        except SQLAlchemyError as error:
            # Only the class, the driver's where it has one: a message may quote the statement's values.
            kind = type(getattr(error, "orig", None) or error).__name__
            raise Unavailable(f"The key store failed: {kind}.") from None

    return guarded


def _write(connection: Connection, batch: Batch) -> None:
    subjects = {record.revision: record for record in batch.records}
    connection.execute(insert(log), [_log_row(entry, subjects.get(entry.number)) for entry in batch.entries])
    latest = {(record.kind, record.id): record for record in batch.records}
    if latest:
        ids = [record.serial for record in latest.values()]
        connection.execute(delete(records).where(records.c.serial.in_(ids)))
        connection.execute(insert(records), [_record_row(record) for record in latest.values()])
    if batch.marks:
        tokens = [mark.token for mark in batch.marks]
        connection.execute(delete(marks).where(marks.c.token.in_(tokens)))
        connection.execute(insert(marks), [mark._asdict() for mark in batch.marks])


def _log_row(entry: Entry, record: Record | None) -> dict[str, Any]:
    about = (record.kind.value, record.id, record.tenant) if record else (None, None, None)
    return {**entry._asdict(), "kind": about[0], "subject": about[1], "tenant": about[2]}


def _record_row(record: Record) -> dict[str, Any]:
    return {**record._asdict(), "kind": record.kind.value}


def _listed(listing: Listing) -> Select[Any]:
    found = select(*_RECORD).where(records.c.kind == listing.kind.value, records.c.serial > listing.after)
    if listing.tenant is not None:
        found = found.where(records.c.tenant == listing.tenant)
    if listing.owner is not None:
        found = found.where(records.c.owner == listing.owner)
    return found.order_by(records.c.serial).limit(listing.most)


def _entry(row: Sequence[Any] | None) -> Entry | None:
    return None if row is None else Entry(*row)


def _records(rows: Iterable[Row[Any]]) -> list[Record]:
    return [record for record in map(_record, rows) if record is not None]


def _record(row: Sequence[Any] | None) -> Record | None:
    if row is None or row[0] is None:
        return None
    return Record(Kind(row[0]), *row[1:])
