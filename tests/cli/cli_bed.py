"""A shell for the command line, in the process or as real ones, and a hand that alters stores."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyrack.cli import main

COMMAND = (sys.executable, "-c", "import sys; from keyrack.cli import main; sys.exit(main())")
PEPPERS = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
NEW_PEPPERS = f"p2:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ,{PEPPERS}"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        """The one document on standard error."""
        return json.loads(self.err)


class Shell:
    """Runs commands in this process, in a folder of their own and without settings of the machine's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("KEYRACK_")]:
            monkeypatch.delenv(name)

    def __call__(self, *argv: str, stdin: str = "") -> Ran:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(argv)
        return Ran(code, *self._capsys.readouterr())

    def json(self, *argv: str, stdin: str = "") -> Any:
        """The document that a command printed, which must have gone well."""
        ran = self(*argv, "--json", stdin=stdin)
        if ran.code != 0:
            raise AssertionError(ran)
        return ran.json

    def set(self, name: str, value: str) -> None:
        """Set a variable of the environment."""
        self._monkeypatch.setenv(name, value)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*COMMAND, *argv], cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def alter(self, statement: str, *values: object) -> None:
        """Change the store's file as whoever can write to it could."""
        with closing(sqlite3.connect(self.folder / "keyrack.db", isolation_level=None)) as connection:
            connection.execute(statement, values)

    def look(self, statement: str, *values: object) -> list[Any]:
        """Read the store's file past the engine."""
        with closing(sqlite3.connect(self.folder / "keyrack.db")) as connection:
            return connection.execute(statement, values).fetchall()

    def files(self) -> dict[str, bytes]:
        """Every file in the folder, but for those that SQLite makes while it is open."""
        found = (path for path in self.folder.iterdir() if not path.name.endswith(("-wal", "-shm")))
        return {path.name: path.read_bytes() for path in found}
