"""The processes of the example: the provider's and Keyrack's, each until it answers and until it is ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 60.0
END_SECONDS = 20.0
LOOK_SECONDS = 0.05
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def provider(port: int, settings: Mapping[str, str], *, log: Path) -> Iterator[str]:
    """The model provider on this port, what it says in that file; gives its URL."""
    command = [sys.executable, "-m", "uvicorn", "examples.ai_gateway.model.app:create", "--factory"]
    # A provider keeps connections for long, so that no request meets one that is being closed.
    options = ["--timeout-keep-alive", "75", "--log-level", "warning", "--no-access-log"]
    command += ["--host", HOST, "--port", str(port)]
    with _running([*command, *options], settings, f"http://{HOST}:{port}/openapi.json", log):
        yield f"http://{HOST}:{port}"


@contextmanager
def keyrack(port: int, settings: Mapping[str, str], *, log: Path) -> Iterator[str]:
    """A Keyrack server on this port, likewise."""
    command = [str(Path(sys.executable).with_name("keyrack")), "serve", "--port", str(port)]
    with _running(command, settings, f"http://{HOST}:{port}/livez", log):
        yield f"http://{HOST}:{port}"


@contextmanager
def _running(command: Sequence[str], settings: Mapping[str, str], url: str, log: Path) -> Iterator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEYRACK_")}
    with log.open("ab") as said:
        process = subprocess.Popen(  # noqa: S603 - our own words
            command, env={**inherited, **settings}, cwd=ROOT, stdout=said, stderr=said
        )
    try:
        _wait_until_it_answers(process, url)
        yield
    finally:
        _end(process)


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} did not start: exit code {process.poll()}")
        time.sleep(LOOK_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=LOOK_SECONDS * 20):  # noqa: S310 - our own URL
            return True
    except (OSError, urllib.error.URLError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
