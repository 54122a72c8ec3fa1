"""One query: its streams as tables of a context of its own, its rows written to a file.

It runs in a process of its own (see worker.py), which ends with it when it does not end by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datafusion import DataFrame, RuntimeEnvBuilder, SessionConfig, SessionContext, SQLOptions

from examples.log_lake import rows
from examples.log_lake.columns import INSTANT
from examples.log_lake.envelope import TIMESTAMP
from examples.log_lake.objects import Objects
from examples.log_lake.problems import InvalidRequest
from examples.log_lake.schemas import Schemas
from examples.log_lake.storage import Storage
from examples.log_lake.tables import Part, StreamTable, split

CONFIG: Mapping[str, str] = {
    "datafusion.sql_parser.enable_ident_normalization": "false",  # names match exactly
    "datafusion.catalog.information_schema": "false",
    "datafusion.execution.target_partitions": "2",
}
READ_ONLY = SQLOptions().with_allow_ddl(False).with_allow_dml(False).with_allow_statements(False)
"""A second look, by the planner, at what the parsed statement was checked for."""
POOL_SHARE = 0.75
"""Of its memory a query may use so much for sorting, joining and grouping; the rest is for reading."""
OUT_OF_MEMORY = ("Resources exhausted", "Memory Exhausted")
MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Task:
    """What a query is, and what it may use."""

    sql: str
    tenant: str
    streams: tuple[str, ...]
    start_at: datetime
    end_at: datetime
    shape: rows.Shape
    most_rows: int
    memory_bytes: int
    result: Path
    """The file that the answer is written to."""


class Engine:
    """Runs queries on a storage. What it has learnt of objects, which never change, it keeps."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._objects = Objects(storage)
        self._schemas = Schemas(storage)

    def run(self, task: Task) -> None:
        """Write the answer of a query. Raises InvalidRequest, rows.TooLarge or Unavailable."""
        tables = {name: self._table(task, name) for name in task.streams}
        try:
            self._answer(task, _context(task, tables))
        except Exception as error:  # noqa: BLE001  # DataFusion raises it bare; its text tells what it is
            raise _meaning(error, tables) from None

    def _table(self, task: Task, name: str) -> StreamTable:
        found = self._objects.within(task.tenant, name, start_at=task.start_at, end_at=task.end_at)
        period = (pc.field(TIMESTAMP) >= pa.scalar(task.start_at, INSTANT)) & (
            pc.field(TIMESTAMP) < pa.scalar(task.end_at, INSTANT)
        )
        parts = [Part(self._storage, objects, period) for objects in split(found)]
        return StreamTable(self._schemas.columns(task.tenant, name), parts)

    def _answer(self, task: Task, context: SessionContext) -> None:
        frame = context.sql_with_options(task.sql, READ_ONLY)
        schema = frame.schema()
        _check_names(schema)
        most = {"rows": task.most_rows, "bytes": task.memory_bytes}
        with task.result.open("wb") as sink:
            rows.write(_batches(frame), schema, sink, shape=task.shape, most=most)


def _context(task: Task, tables: Mapping[str, StreamTable]) -> SessionContext:
    """A context that holds the streams of this query and nothing else."""
    config = SessionConfig()
    for name, value in CONFIG.items():
        config = config.set(name, value)
    pool = int(task.memory_bytes * POOL_SHARE)
    context = SessionContext(
        config, RuntimeEnvBuilder().with_disk_manager_disabled().with_greedy_memory_pool(pool)
    )
    for name, table in tables.items():
        context.register_dataset(f'"{name}"', table)
    return context


def _batches(frame: DataFrame) -> Iterator[pa.RecordBatch]:
    return (batch.to_pyarrow() for batch in frame.execute_stream())


def _check_names(schema: pa.Schema) -> None:
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise InvalidRequest("Two columns of the answer have one name; give names with AS.", names=twice)


def _meaning(error: Exception, tables: Mapping[str, StreamTable]) -> Exception:
    trouble = next((table.trouble for table in tables.values() if table.trouble), None)
    if trouble is not None or isinstance(error, InvalidRequest | rows.TooLarge):
        return trouble or error
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY):
        return rows.TooLarge()
    return InvalidRequest(f"The query failed: {text[:MAX_DETAIL]}")
