"""Server processes that pages start: waited for, read from, and stopped."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

START_SECONDS = 60.0
_pause = threading.Event()


class ServerProcess:
    """A command that serves on a port of this machine until it is stopped."""

    def __init__(self, command: str, *, port: int, folder: Path, environment: Mapping[str, str]):
        self.port = port
        self._log = folder / f".server-{port}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-euc", f"exec {command}"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait(self._answers, "did not open its port")

    def wait_for(self, is_as_shown: Callable[[str], bool]) -> None:
        """Wait until what was printed is as it is expected."""
        self._wait(lambda: is_as_shown(self.printed()), "did not print what is shown")

    def printed(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End it as an operator would, with a signal."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _wait(self, is_so: Callable[[], bool], otherwise: str) -> None:
        for _ in range(int(START_SECONDS / 0.05)):
            if is_so():
                return
            if self._process.poll() is not None:
                break
            _pause.wait(0.05)
        self.stop()
        raise AssertionError(f"the server {otherwise}; it printed:\n{self.printed()}")
