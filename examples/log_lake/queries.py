"""Runs queries: each in a process, for as long as its key may, its caller waits and its time lasts."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from examples.log_lake.clock import Clock
from examples.log_lake.engine import Task
from examples.log_lake.problems import QueryEnded, QueryTimeout
from examples.log_lake.sessions import Running, Sessions
from examples.log_lake.workers import Workers

PROCESSES = 4
LOOK_SECONDS = 0.2
"""How often a running query is looked after."""
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends a query before its time."""

    check: Callable[[], None]
    """Raises when the key may no longer do what it does."""
    is_gone: Callable[[], Awaitable[bool]]
    """Whether nobody waits for the answer."""


class Queries:
    """The queries of one server process."""

    def __init__(self, storage_url: str, clock: Clock, *, seconds: float):
        self._workers = Workers(storage_url)
        self._threads = ThreadPoolExecutor(PROCESSES, thread_name_prefix="query")
        self._temporary = tempfile.TemporaryDirectory(prefix="log-lake-")
        self._clock = clock
        self._seconds = seconds
        self.folder = Path(self._temporary.name)
        self.sessions = Sessions(self.folder)

    def open(self, key_id: str, tenant: str, streams: tuple[str, ...]) -> Running:
        """A session for a query that has passed all checks, to be closed. Raises TooManyQueries."""
        return self.sessions.open(key_id, tenant, streams, now=self._clock())

    async def run(self, running: Running, task: Task, watch: Watch) -> None:
        """Have the answer written. Raises QueryTimeout, QueryEnded, and what worker and watch raise."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        work = loop.run_in_executor(self._threads, self._work, running, task)
        try:
            while not work.done():
                left = deadline - loop.time()
                await self._look_after(running, watch, left)
                await asyncio.wait({work}, timeout=min(LOOK_SECONDS, left))
            running.check()  # a worker that was ended says that it had too little memory
        except BaseException:
            running.end()
            work.cancel()  # where it waits for a thread, nobody waits for it
            raise
        await work

    def chunks(self, running: Running, watch: Watch) -> Iterator[bytes]:
        """The answer, for as long as the key may have it. Raises QueryEnded, and what the watch raises."""
        with running.result.open("rb") as result:
            while chunk := result.read(CHUNK_BYTES):
                running.check()
                watch.check()
                yield chunk

    def close(self) -> None:
        """End all queries and their processes."""
        self.sessions.close_all()
        self._threads.shutdown(cancel_futures=True)
        self._workers.close()
        self._temporary.cleanup()

    async def _look_after(self, running: Running, watch: Watch, seconds_left: float) -> None:
        running.check()
        watch.check()
        if seconds_left <= 0:
            raise QueryTimeout(self._seconds)
        if await watch.is_gone():
            raise QueryEnded

    def _work(self, running: Running, task: Task) -> None:
        worker = self._workers.take()
        try:
            running.begin(worker)
            worker.ask(task, seconds=self._seconds)
        finally:
            running.done()
            self._workers.give_back(worker)
