"""Asks a stream, and prints each row as a line of JSON.

    LAKE_KEY=… python -m examples.log_lake.clients.query --stream builds \\
        'SELECT count(*) AS n FROM builds'
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from examples.log_lake.clients.connection import Connection, Failed, connect, leave, parser


def main() -> None:
    """Print the rows of one statement."""
    options = _options()
    sql = options.sql or f'SELECT * FROM "{options.stream}" LIMIT 100'  # noqa: S608  # the lake takes it as it takes any
    try:
        ask(connect(options), sql, start=options.start, end=options.end)
    except Failed as error:
        leave(error)


def ask(connection: Connection, sql: str, *, start: str, end: str) -> None:
    """Print the answer as it comes. Raises Failed."""
    body = json.dumps({"query": sql, "startTime": start, "endTime": end}).encode()
    with connection.post("/api/v1/query?streaming=true", body, {}) as rows:
        shutil.copyfileobj(rows, sys.stdout.buffer)


def _options() -> argparse.Namespace:
    arguments = parser("Query a stream of a log lake.")
    arguments.add_argument("--start", default="1 hour", help="a time, or with `--end now` a duration")
    arguments.add_argument("--end", default="now")
    arguments.add_argument("sql", nargs="?", help="default: the first rows of the stream")
    return arguments.parse_args()


if __name__ == "__main__":
    main()
