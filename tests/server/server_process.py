"""The real server: started as an operator starts it, asked over a real port, ended by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from patience import PATIENCE_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[2]


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the test's own environment but what Python needs."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), **settings}


def command(*options: str) -> list[str]:
    return [str(Path(sys.executable).with_name("keyrack")), "serve", *options]


class Running:
    """A server process, its group, and all that it wrote so far."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.lines: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = ""
        self.internal_url = ""

    def wait_until_it_serves(self) -> None:
        assert self._listening.wait(PATIENCE_SECONDS), self.output
        said = self.logged("listening")
        assert said, f"it did not start: {self.output}"
        self.url, self.internal_url = said[0]["url"], said[0].get("internal_url", "")
        eventually(self.answers)

    def answers(self) -> bool:
        """Whether /livez answers now."""
        assert self.process.poll() is None, self.output
        try:
            return httpx.get(f"{self.url}/livez", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def output(self) -> str:
        """Everything on standard output and standard error."""
        return "".join(self.lines)

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message, read as the JSON that each of them is."""
        return [line for line in self._said() if line["event"] == message]

    def logged_by(self, logger: str) -> list[dict[str, Any]]:
        """The log lines of one logger."""
        return [line for line in self._said() if line["logger"] == logger]

    def client(self, key: str | None = None, **more: Any) -> httpx.Client:
        """A caller, with its key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, **more)

    def signal(self, number: signal.Signals, *, group: bool = True) -> None:
        """Send a signal to every process of the server, or to the first one alone."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def wait(self, within: float = PATIENCE_SECONDS) -> int:
        """The exit code, once the process has ended and everything that it wrote is read."""
        code = self.process.wait(within)
        self._reader.join(within)
        return code

    def _said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)
                if '"listening"' in line:
                    self._listening.set()
        self._listening.set()


def start(settings: Mapping[str, str], folder: Path, *options: str) -> Running:
    """A server in a process group of its own; the caller ends it."""
    process = subprocess.Popen(
        command(*options),
        env=surroundings(settings),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Running(process)


@contextmanager
def serving(settings: Mapping[str, str], folder: Path, *options: str) -> Iterator[Running]:
    """A server that answers; every process of it has ended when this is left."""
    running = start({"KEYRACK_PORT": "0", **settings}, folder, *options)
    try:
        running.wait_until_it_serves()
        yield running
    finally:
        stop(running)


def stop(running: Running) -> None:
    """End a server that may have ended already: kindly, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            running.signal(number)
        except ProcessLookupError:
            break
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            continue
    running.wait()


def refused(settings: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A start that ends by itself."""
    return subprocess.run(
        command(),
        env=surroundings(settings),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
