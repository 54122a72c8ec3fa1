"""The real process: started as an operator starts it, asked over a real port, ended by a signal."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 180
_LISTENING = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the test's own environment but what Python needs."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", **environment}


def run(*arguments: str, environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A module of the service that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=surroundings(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class Running:
    """A server process, and all that it wrote so far."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_until_it_listens(self) -> None:
        assert self._listening.wait(PATIENCE_SECONDS), self.lines
        assert self.url, self.lines

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
                    self.url = found[1]
                    self._listening.set()
        self._listening.set()


@contextmanager
def serving(*arguments: str, environment: Mapping[str, str], folder: Path) -> Iterator[Running]:
    """A module that serves on a port that the system chose; it has ended when this is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments, "--port", "0"],
        env=surroundings(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(process)
    try:
        running.wait_until_it_listens()
        yield running
    finally:
        running.stop()
