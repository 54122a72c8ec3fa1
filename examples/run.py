"""Start an example that nobody prepared: `python -m examples.run NAME --port PORT`.

A required variable that is unset gets a random value, once, kept in a 0600 file in the example's
data folder. A variable that is set, even to the empty text, is passed on untouched: the example's
own rules decide about it, and its exit code is this command's.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from examples.declaration import Example

HERE = Path(__file__).parent
KEPT = "environment"
DEFAULT_PORT = 8080


def main() -> None:
    """Print what to try, then become the example."""
    options = _parser().parse_args()
    example: Example = importlib.import_module(f"examples.{options.name}.example").EXAMPLE
    data = HERE / options.name / "data"
    environment = {**prepared(example, data, os.environ), **os.environ}
    sys.stdout.write(introduction(example, data / KEPT, options.port))
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", *example.command(options.port)], environment)  # noqa: S606  # our own command


def prepared(example: Example, data: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """A value for each variable that the example needs and the environment does not set."""
    data.mkdir(mode=0o700, exist_ok=True)
    kept = _read(data / KEPT)
    made = {
        name: make() for name, make in example.random.items() if name not in kept and name not in environment
    }
    if made:
        _write(data / KEPT, kept | made)
    return {**example.local(data), **kept, **made}


def introduction(example: Example, kept: Path, port: int) -> str:
    """What is printed before an example starts; it says where keys are, and no key."""
    where = os.path.relpath(kept)
    source = f"\n  set -a; . {where}; set +a" if kept.exists() else ""
    return f"Its keys are in {where}. Try, in another terminal:\n{source}\n{example.try_out(port)}\n\n"


def names() -> list[str]:
    """The examples that there are."""
    return sorted(path.parent.name for path in HERE.glob("*/example.py"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.run", description="Start an example.")
    parser.add_argument("name", choices=names())
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    return parser


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in pairs}


def _write(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step, so that it is never readable by others and never half written."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


if __name__ == "__main__":
    main()
