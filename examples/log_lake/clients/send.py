"""Sends lines to a stream: JSON objects as they are, other lines as `{"line": …}`.

LAKE_KEY=… python -m examples.log_lake.clients.send --stream builds build.log
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from examples.log_lake.clients.connection import Connection, Failed, connect, leave, parser

LINES_AT_ONCE = 5_000


def main() -> None:
    """Send all lines, and say how many."""
    options = _options()
    try:
        count = send(connect(options), options.stream, _lines(options.files))
    except Failed as error:
        leave(error)
    else:
        sys.stdout.write(f"{count}\n")


def send(connection: Connection, stream: str, lines: Iterable[str]) -> int:
    """Send lines in portions, each stored before the next one goes; how many there were. Raises Failed."""
    count = 0
    events = (event for line in lines if (event := _event(line)) is not None)
    while portion := list(islice(events, LINES_AT_ONCE)):
        body = gzip.compress(json.dumps(portion).encode(), compresslevel=1)
        headers = {"X-P-Stream": stream, "Content-Encoding": "gzip"}
        connection.post("/api/v1/ingest", body, headers).close()
        count += len(portion)
    return count


def _event(line: str) -> dict[str, Any] | None:
    text = line.rstrip("\r\n")
    if not text:
        return None
    if text.startswith("{"):
        value = _json(text)
        if isinstance(value, dict) and value:
            return value
    return {"line": text}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _lines(files: list[Path]) -> Iterator[str]:
    if not files:
        yield from sys.stdin
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as lines:
            yield from lines


def _options() -> argparse.Namespace:
    arguments = parser("Send lines to a stream of a log lake.")
    arguments.add_argument("files", nargs="*", type=Path, help="what to send; default: the standard input")
    return arguments.parse_args()


if __name__ == "__main__":
    main()
