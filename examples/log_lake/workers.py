"""The processes that run queries. A query is ended by ending its process (LL-35)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from examples.log_lake.engine import Task
from examples.log_lake.problems import InvalidRequest, QueryTooLarge
from keyrack import Unavailable

ALLOCATORS: Mapping[str, str] = {
    # Memory that is set aside and not used would count against the limit of a process.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MIMALLOC_ARENA_EAGER_COMMIT": "0",
}


class Worker:
    """One process. `ask` blocks a thread; `end` may be called from any other."""

    def __init__(self, storage_url: str):
        self._process = subprocess.Popen(  # noqa: S603  # nothing in it comes from a request
            [sys.executable, "-m", "examples.log_lake.worker", storage_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(os.environ),
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, task: Task, *, seconds: float) -> None:
        """Run a query. Raises InvalidRequest, Unavailable, or QueryTooLarge, also where the process ended."""
        line = self._exchange(json.dumps({**_fields(task), "seconds": seconds}) + "\n")
        answer = json.loads(line) if line else self._last_words()
        match answer["outcome"]:
            case "invalid":
                raise InvalidRequest(answer["detail"])
            case "unavailable":
                raise Unavailable(answer["detail"])
            case "too_large":
                raise QueryTooLarge()

    def end(self) -> None:
        """End the process, and with it what it does."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of its pipes. Nobody may be asking it."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _last_words(self) -> dict[str, str]:
        """Why it ended: by a signal where it asked for more memory than it may have."""
        if self._process.wait() < 0:
            return {"outcome": "too_large"}
        return {"outcome": "unavailable", "detail": "The query could not be run."}

    def _exchange(self, line: str) -> bytes:
        """What it answers; nothing when it ended meanwhile."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return b""
        try:
            os.write(stdin.fileno(), line.encode())
        except BrokenPipeError:
            return b""
        return stdout.readline()


class Workers:
    """The workers that are not busy. Each is started when there is none to be had."""

    def __init__(self, storage_url: str):
        self._storage_url = storage_url
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def take(self) -> Worker:
        """A worker of one's own, to be given back."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            return Worker(self._storage_url)
        if worker.is_alive:
            return worker
        worker.close()
        return self.take()

    def give_back(self, worker: Worker) -> None:
        """Keep a worker for the next query, if it is alive."""
        if worker.is_alive:
            with self._lock:
                self._idle.append(worker)
        else:
            worker.close()

    def close(self) -> None:
        """End those that nobody has."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """What a worker needs to reach the storage; it has no business with keys and peppers."""
    kept = {name: own[name] for name in own if not name.startswith("KEYRACK_")}
    return {**kept, **ALLOCATORS, "PYTHONPATH": os.pathsep.join(sys.path)}


def _fields(task: Task) -> dict[str, Any]:
    return {
        **asdict(task),
        "start_at": task.start_at.isoformat(),
        "end_at": task.end_at.isoformat(),
        "result": str(task.result),
    }
