"""The jobs on record: found, made, and changed by one update that is guarded by the job's revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update
from ulid import ULID

from examples.coordinator import audit, tables
from examples.coordinator.call import Call
from examples.coordinator.clock import Clock
from examples.coordinator.database import Database, Overtaken, settled
from examples.coordinator.job import Job
from examples.coordinator.problems import NotFound
from examples.coordinator.states import Change, apply


class Jobs:
    """All jobs. Each change reads without a lock, decides, and writes only what nobody overtook."""

    def __init__(self, database: Database, clock: Clock):
        self._database = database
        self._clock = clock

    def get(self, job_id: str) -> Job | None:
        """The job of that id, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(tables.jobs).where(tables.jobs.c.id == job_id)).one_or_none()
        return None if row is None else Job(**row._mapping)

    def find(self, job_id: str) -> Job:
        """The job of that id. Raises NotFound."""
        job = self.get(job_id)
        if job is None:
            raise NotFound("There is no job of that id.")
        return job

    def draft(self, fields: Mapping[str, Any], call: Call) -> Job:
        """A new job that is not on record yet."""
        now = self._clock()
        return Job(
            id=str(ULID.from_datetime(now)),
            created_by=call.caller,
            updated_by=call.caller,
            created_at=now,
            updated_at=now,
            **fields,
        )

    def changed(self, job: Job, change: Change, call: Call) -> Job:
        """The job as this change would leave it; the job itself when that alters nothing."""
        now = self._clock()
        after = apply(job, change, now)
        if after is job:
            return job
        return replace(after, revision=job.revision + 1, updated_at=now, updated_by=call.caller)

    def change(self, job_id: str, change: Change, call: Call) -> Job:
        """Change a job on record. Raises NotFound, or what the state machine raises."""
        return settled(lambda: self._change(job_id, change, call))

    def _change(self, job_id: str, change: Change, call: Call) -> Job:
        before = self.find(job_id)
        after = self.changed(before, change, call)
        if after is not before:
            with self._database.write() as connection:
                save(connection, after, change, call)
        return after


def add(connection: Connection, job: Job, call: Call) -> None:
    """Put a new job on record."""
    connection.execute(insert(tables.jobs).values(asdict(job)))
    audit.note_change(connection, job, call)


def save(connection: Connection, after: Job, change: Change, call: Call) -> None:
    """Record what a change made of a job, unless its row has moved on: then Overtaken, nothing written."""
    guarded = tables.jobs.c.id == after.id, tables.jobs.c.revision == after.revision - 1
    if connection.execute(update(tables.jobs).where(*guarded).values(asdict(after))).rowcount != 1:
        raise Overtaken
    audit.note_change(connection, after, call, change.reason)
