"""Keyrack's own golden tests: commands that are run here, beside what they are expected to print."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")
PATIENCE_SECONDS = 120
COMMANDS = sysconfig.get_path("scripts")
PEPPERS = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"


def produce(folder: Path, workplace: Path) -> None:
    """Copy the golden tests into a folder, run each, and put beside it what it printed."""
    shutil.copytree(GOLDEN, folder)
    _run("keyrack init --json", workplace)
    for test in sorted((folder / "tests").iterdir()):
        _produce(test, folder / "samples", workplace)


def _produce(test: Path, samples: Path, workplace: Path) -> None:
    said = json.loads((test / "test.json").read_text())
    given = (samples / said["sample"]).read_text() if "sample" in said else ""
    ran = _run(said["command"], workplace, given)
    printed = {"stdout": ran.stdout, "stderr": ran.stderr}
    for expected in (test / "expected").iterdir():
        write(test / "actual" / expected.name, printed[expected.stem])
    write(test / "result.json", json.dumps({"exit_code": ran.returncode, "runtime_ms": 1}))
    write(test / "log.txt", f"2030-01-01T12:00:00Z info test_runner ended with {ran.returncode}\n")


def _run(command: str, workplace: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command.split(),
        input=given,
        capture_output=True,
        text=True,
        cwd=workplace,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={
            "PATH": f"{COMMANDS}:{os.defpath}",
            "NO_COLOR": "1",
            "COLUMNS": "80",
            "KEYRACK_STORE": "sqlite:///keys.db",
            "KEYRACK_PEPPERS": PEPPERS,
        },
    )


def write(path: Path, text: str) -> None:
    """A file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
