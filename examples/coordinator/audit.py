"""The record of who changed what: a row stands in the same transaction as the change that it tells.

Each row is a log line too, but for the reason, which is in the caller's own words.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from examples.coordinator import tables
from examples.coordinator.call import Call
from examples.coordinator.job import Job

REFUSED = "refused"

log = logging.getLogger("coordinator.audit")


def note_change(connection: Connection, job: Job, call: Call, reason: str | None = None) -> None:
    """Record that this call made the job what it is now; the outcome is the job's status."""
    facts = {"at": job.updated_at, "job_id": job.id, "revision": job.revision, "outcome": str(job.status)}
    _note(connection, asdict(call) | facts, reason)


def note_refusal(connection: Connection, call: Call, reason: str, at: datetime) -> None:
    """Record that this service itself refused a call of a proved caller."""
    _note(connection, asdict(call) | {"at": at, "outcome": REFUSED}, reason)


def _note(connection: Connection, facts: dict[str, Any], reason: str | None) -> None:
    connection.execute(insert(tables.audit).values(facts | {"reason": reason}))
    log.info("noted", extra={"change": facts})
