"""A fresh log lake for each test, and the search for secrets where none may be (LL-48)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lake_bed import Clock, Lake, OpenLake, Used, environment, make_store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def used() -> Used:
    return Used()


@pytest.fixture
def open_lake(tmp_path: Path, clock: Clock, used: Used) -> Iterator[OpenLake]:
    """Opens lakes on the same folder, each with these variables."""
    with ExitStack() as opened:

        def open_one(**changed: str) -> Lake:
            return opened.enter_context(Lake(environment(tmp_path, **changed), clock, used))

        yield open_one


@pytest.fixture
def lake(open_lake: OpenLake) -> Lake:
    return open_lake()


@pytest.fixture
def two_nodes(open_lake: OpenLake, tmp_path: Path) -> tuple[Lake, Lake]:
    """Two lakes on one key store and one folder."""
    store = {
        "KEYRACK_STORE": f"sqlite:///{tmp_path / 'keys.db'}",
        "KEYRACK_PEPPERS": environment(tmp_path)["KEYRACK_PEPPERS"],
    }
    make_store(environment(tmp_path, **store))
    return open_lake(**store), open_lake(**store)


@pytest.fixture(autouse=True)
def no_secret_is_stored(tmp_path: Path, used: Used) -> Iterator[None]:
    """After each test: no secret stands in a file that was written. Logs are searched for all at once."""
    yield
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in used.secrets:
        assert not [text for text in written if secret.encode() in text]
