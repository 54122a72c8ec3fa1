"""The record of who changed what: a row stands in the same transaction as the change that it tells."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert

from examples.coordinator import tables
from examples.coordinator.call import Call
from examples.coordinator.job import Job

REFUSED = "refused"


def note_change(connection: Connection, job: Job, call: Call, reason: str | None = None) -> None:
    """Record that this call made the job what it is now; the outcome is the job's status."""
    values = {"at": job.updated_at, "job_id": job.id, "revision": job.revision, "outcome": str(job.status)}
    connection.execute(insert(tables.audit).values(asdict(call) | values | {"reason": reason}))


def note_refusal(connection: Connection, call: Call, reason: str, at: datetime) -> None:
    """Record that this service itself refused a call of a proved caller."""
    values = {"at": at, "outcome": REFUSED, "reason": reason}
    connection.execute(insert(tables.audit).values(asdict(call) | values))
