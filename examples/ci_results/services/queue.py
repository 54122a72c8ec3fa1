"""The queue as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from examples.ci_results.enumerations import Platform, RunStatus
from examples.ci_results.models import queue
from examples.ci_results.models.database import Database
from examples.ci_results.models.queue import Queued


class QueuePage(NamedTuple):
    """Some of what waits and runs, and how much of each there is."""

    rows: Sequence[Queued]
    waiting: int
    running: int
    total: int


class Queue:
    """Shows the queue. Every call blocks."""

    def __init__(self, database: Database):
        self._database = database

    def find(
        self, *, platform: Platform | None, status: RunStatus | None, limit: int, offset: int
    ) -> QueuePage:
        """A page, by run id."""
        with self._database.read() as connection:
            rows = queue.find(connection, platform=platform, status=status, limit=limit, offset=offset)
            counts = queue.counts(connection, platform=platform)
        waiting, running = counts.get(RunStatus.QUEUED, 0), counts.get(RunStatus.RUNNING, 0)
        total = {None: waiting + running, RunStatus.QUEUED: waiting}.get(status, running)
        return QueuePage(rows, waiting, running, total)
