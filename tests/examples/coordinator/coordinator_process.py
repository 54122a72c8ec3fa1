"""The real process: started as an operator starts it, asked over a real port, ended by a signal."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 120
_LISTENING = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


KEYRACK = Path(sys.executable).with_name("keyrack")
"""Keyrack's own command line."""


def keyrack(*arguments: str, environment: Mapping[str, str], folder: Path) -> str:
    """What one of Keyrack's commands says; it must succeed."""
    ended = subprocess.run(
        [str(KEYRACK), *arguments],
        env=surroundings(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "examples.coordinator", *arguments]


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the test's own environment but what Python needs."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **environment}


def run(*arguments: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        command(*arguments),
        env=surroundings(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class Running:
    """A server process, and all that it wrote so far."""

    def __init__(self, process: subprocess.Popen[str], workers: int):
        self.process = process
        self._starting = workers
        self.lines: list[str] = []
        self.url = ""
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_until_it_listens(self) -> None:
        assert self._listening.wait(PATIENCE_SECONDS), self.output
        assert self._starting == 0, self.output

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)
                if found := _LISTENING.search(line):
                    self.url = f"http://127.0.0.1:{found[1]}"
                self._starting -= "Application startup complete" in line
                if self.url and self._starting == 0:
                    self._listening.set()
        self._listening.set()


@contextmanager
def serving(environment: Mapping[str, str], folder: Path, *, workers: int = 1) -> Iterator[Running]:
    """A server on a port that the system chose; it has ended when this is left."""
    process = subprocess.Popen(
        command("serve", "--port", "0", "--workers", str(workers)),
        env=surroundings(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(process, workers)
    try:
        running.wait_until_it_listens()
        yield running
    finally:
        running.stop()


def client(running: Running, key: str) -> httpx.Client:
    """A caller with its key."""
    return httpx.Client(base_url=running.url, headers={"X-API-Key": key}, timeout=PATIENCE_SECONDS)
