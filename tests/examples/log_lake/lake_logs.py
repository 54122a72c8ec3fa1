"""Real logs, produced on the spot: what building, packaging and testing this project print."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENOUGH_LINES = 100_000
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "build": ("compileall", "-f", "src/keyrack"),
    "package": ("examples.log_lake", "--help"),
    "test": ("pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/core/test_scopes.py"),
}
"""Python modules, by the stream that their output goes to. They say what they load, and where they look."""
FOLDERS = ("", "src", "tests", "docs", "bench", "examples", "deploy", "tests/core", "tests/stores")


def produce(folder: Path) -> Mapping[str, Path]:
    """A file of log lines for each stream, together at least 100,000."""
    with ThreadPoolExecutor(2) as threads:
        texts = dict(
            zip(COMMANDS, threads.map(lambda one: _output(one, folder), COMMANDS.values()), strict=True)
        )
    for stream in itertools.cycle(("package", "build")):
        if sum(text.count(b"\n") for text in texts.values()) >= ENOUGH_LINES:
            break
        texts[stream] += _output(COMMANDS[stream], folder)
    for stream, text in texts.items():
        (folder / f"{stream}.log").write_bytes(text)
    return {stream: folder / f"{stream}.log" for stream in texts}


def lines_of(path: Path) -> list[str]:
    """The lines of a log that are not empty."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [text for line in lines if (text := line.rstrip("\r\n"))]


def _output(module: tuple[str, ...], folder: Path) -> bytes:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in FOLDERS),
        "PYTHONPYCACHEPREFIX": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-vv", "-m", *module],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout
