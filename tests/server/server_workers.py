"""The workers of one server, each of them to be asked by itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from patience import PATIENCE_SECONDS, eventually
from server_process import Running


def process_ids(store: Path) -> set[int]:
    """The processes that are registered as nodes of this store and live."""
    with closing(sqlite3.connect(store.with_name("keyrack-journal.db"))) as journal:
        ids = [row[0] for row in journal.execute("SELECT id FROM nodes")]
    return {pid for pid in (int(node.partition("-")[0]) for node in ids) if Path(f"/proc/{pid}").exists()}


def workers(store: Path, count: int) -> list[int]:
    """The workers, once all of them decide."""
    found: set[int] = eventually(lambda: len(pids := process_ids(store)) == count and pids)
    return sorted(found)


class Worker:
    """A connection that one worker has accepted; it is not opened anew when it was lost."""

    def __init__(self, connection: http.client.HTTPConnection):
        self._connection = connection
        connection.auto_open = 0

    def __call__(self, method: str, path: str, key: str, value: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        body = None if value is None else json.dumps(value)
        self._connection.request(method, path, body=body, headers=headers)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else {}


@contextmanager
def each_worker(running: Running, pids: list[int]) -> Iterator[list[Worker]]:
    """A connection to each: while the others are stopped, only one can accept it."""
    with closing_all() as connections:
        for pid in pids:
            with stopped(other for other in pids if other != pid):
                connections.append(_connected(running))
        yield [Worker(connection) for connection in connections]


@contextmanager
def closing_all() -> Iterator[list[http.client.HTTPConnection]]:
    connections: list[http.client.HTTPConnection] = []
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@contextmanager
def stopped(pids: Iterator[int]) -> Iterator[None]:
    held = list(pids)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in held:
            eventually(lambda pid=pid: _state(pid) == "T", every=0.001)
        yield
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _connected(running: Running) -> http.client.HTTPConnection:
    where = urlsplit(running.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", "/livez")
    connection.getresponse().read()
    return connection
