"""Which queries run: one session each, from after all checks until its answer is out (LL-36)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ulid import ULID

from examples.log_lake.problems import QueryEnded, TooManyQueries
from examples.log_lake.workers import Worker

MAX_RUNNING = 10
"""Queries of one key at the same time."""
MAX_SESSION = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Session:
    """What one query may read, and until when."""

    id: str
    key_id: str
    tenant: str
    streams: tuple[str, ...]
    started_at: datetime
    deadline_at: datetime


@dataclass(slots=True, eq=False)
class Running:
    """A session with what runs for it. Whoever ends it ends the process that works for it, too."""

    session: Session
    result: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _worker: Worker | None = None
    _is_ended: bool = False

    def begin(self, worker: Worker) -> None:
        """Have a worker for it from now on. Raises QueryEnded."""
        with self._lock:
            if self._is_ended:
                raise QueryEnded
            self._worker = worker

    def done(self) -> None:
        """Have no worker any more; it may serve others."""
        with self._lock:
            self._worker = None

    def end(self) -> None:
        """Stop, at whatever point it is."""
        with self._lock:
            self._is_ended = True
            if self._worker is not None:
                self._worker.end()

    def check(self) -> None:
        """Raises QueryEnded when somebody ended it."""
        if self._is_ended:
            raise QueryEnded


class Sessions:
    """The registry: what is in it runs, what does not run is not in it."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._running: dict[str, Running] = {}

    def open(self, key_id: str, tenant: str, streams: tuple[str, ...], *, now: datetime) -> Running:
        """Register a query that has passed all checks. Raises TooManyQueries."""
        self.sweep(now)
        if sum(one.session.key_id == key_id for one in self._running.values()) >= MAX_RUNNING:
            raise TooManyQueries(MAX_RUNNING)
        name = str(ULID())
        session = Session(name, key_id, tenant, streams, started_at=now, deadline_at=now + MAX_SESSION)
        running = self._running[name] = Running(session, self._folder / name)
        return running

    def close(self, running: Running) -> None:
        """Take a query out, with whatever it left; twice is no trouble."""
        running.end()
        running.result.unlink(missing_ok=True)
        self._running.pop(running.session.id, None)

    def of_tenant(self, tenant: str) -> list[Session]:
        """The sessions of a tenant, by age."""
        own = (one.session for one in self._running.values() if one.session.tenant == tenant)
        return sorted(own, key=lambda session: session.id)

    def end(self, session_id: str, *, tenant: str) -> bool:
        """End a session of a tenant; whether there was one."""
        running = self._running.get(session_id)
        if running is None or running.session.tenant != tenant:
            return False
        running.end()
        return True

    def sweep(self, now: datetime) -> None:
        """Take out what is past its deadline, and nothing else."""
        self._close_where(lambda session: session.deadline_at <= now)

    def close_all(self) -> None:
        """End everything: the service stops."""
        self._close_where(lambda session: True)

    def __len__(self) -> int:
        return len(self._running)

    def _close_where(self, is_over: Callable[[Session], bool]) -> None:
        for running in [one for one in self._running.values() if is_over(one.session)]:
            self.close(running)
