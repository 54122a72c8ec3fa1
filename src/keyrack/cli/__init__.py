"""The command line, `keyrack`. Importing this loads nothing of it; `main` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

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
    return run(sys.argv[1:] if argv is None else argv)
