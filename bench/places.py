"""Where keys can be kept, each on a real server of its own on this machine, for as long as it is measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.servers import postgresql, redis, s3

SQLITE, POSTGRESQL, DIRECTORY, BUCKET = "SQLite", "PostgreSQL", "a directory", "S3 (moto)"


class Places(NamedTuple):
    """What gives the URL of a new, empty store, by kind, and the URL of a Redis."""

    stores: Mapping[str, Callable[[], str]]
    redis: str


@contextmanager
def places() -> Iterator[Places]:
    """One of each; their servers end with the block, and everything in them."""
    with TemporaryDirectory(prefix="keyrack-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        database = stack.enter_context(postgresql.started())
        bucket = stack.enter_context(s3.running())
        # Nodes are processes of their own, and find the bucket's server in their environment.
        os.environ.update(bucket.environment)
        counters = stack.enter_context(redis.running(folder))
        names = (f"keyrack-{number}" for number in count())
        stores = {
            SQLITE: lambda: f"sqlite:///{folder / next(names)}.db",
            POSTGRESQL: database.new_url,
            DIRECTORY: lambda: f"file://{folder / next(names)}",
            BUCKET: lambda: f"s3://{bucket.make_bucket()}/keyrack",
        }
        yield Places(stores, counters.url)
