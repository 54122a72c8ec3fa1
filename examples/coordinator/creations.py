"""Creation that may be repeated: one `Idempotency-Key` of one caller makes one job in 24 hours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from examples.coordinator import tables
from examples.coordinator.call import Call
from examples.coordinator.clock import Clock
from examples.coordinator.database import Database, Overtaken, settled
from examples.coordinator.job import Job
from examples.coordinator.jobs import Jobs, add
from examples.coordinator.problems import Conflict
from examples.coordinator.strict_json import canonical

REMEMBERED_FOR = timedelta(hours=24)


class Creations:
    """Makes jobs, and knows which of them were asked for before."""

    def __init__(self, database: Database, jobs: Jobs, clock: Clock):
        self._database = database
        self._jobs = jobs
        self._clock = clock

    def create(self, fields: Mapping[str, Any], call: Call, idempotency_key: str | None) -> tuple[Job, bool]:
        """The job, and whether this call made it. Raises Conflict when the key stands for another body."""
        if idempotency_key is None:
            return self._add(fields, call), True
        return settled(lambda: self._create_once(fields, call, idempotency_key))

    def _add(self, fields: Mapping[str, Any], call: Call) -> Job:
        job = self._jobs.draft(fields, call)
        with self._database.write() as connection:
            add(connection, job, call)
        return job

    def _create_once(self, fields: Mapping[str, Any], call: Call, key: str) -> tuple[Job, bool]:
        since = self._clock() - REMEMBERED_FOR
        digest = hashlib.sha256(canonical(fields).encode()).hexdigest()
        earlier = self._earlier(call.caller, key, digest, since)
        if earlier is not None:
            return self._jobs.find(earlier), False
        job = self._jobs.draft(fields, call)
        with self._database.write() as connection:
            _claim(connection, job, key, digest, since)
            add(connection, job, call)
        return job, True

    def _earlier(self, caller: str, key: str, digest: str, since: datetime) -> str | None:
        made = tables.creations.c
        asked = made.caller == caller, made.idempotency_key == key, made.created_at > since
        with self._database.read() as connection:
            row = connection.execute(select(made.job_id, made.body_digest).where(*asked)).one_or_none()
        if row is not None and row.body_digest != digest:
            raise Conflict("This Idempotency-Key stands for another body.")
        return None if row is None else str(row.job_id)


def _claim(connection: Connection, job: Job, key: str, digest: str, since: datetime) -> None:
    connection.execute(delete(tables.creations).where(tables.creations.c.created_at <= since))
    row = {
        "caller": job.created_by,
        "idempotency_key": key,
        "body_digest": digest,
        "job_id": job.id,
        "created_at": job.created_at,
    }
    if connection.execute(insert(tables.creations).values(row).on_conflict_do_nothing()).rowcount != 1:
        raise Overtaken
