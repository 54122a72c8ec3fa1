"""The command line, `keyrack`. Importing this loads nothing of it; `main` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

NEEDED = frozenset({"typer", "rich"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        from keyrack.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        sys.stderr.write("keyrack: the command line needs `pip install 'keyrack[cli]'`.\n")
        return 2
    _escape_unwritable()
    return run(sys.argv[1:] if argv is None else argv)


def _escape_unwritable() -> None:
    """A secret is shown after its key was made: no character that a terminal lacks may end that."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
