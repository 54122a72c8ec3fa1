"""A fresh results service for each test, on each kind of database (CI-1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ci_bed import Ci, Clock, OpenCi, environment
from ci_databases import KINDS, Databases, TakeDatabase, in_memory
from servers.postgresql import PostgresServer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def databases(postgresql: PostgresServer) -> Databases:
    return Databases(postgresql)


@pytest.fixture(params=KINDS)
def take_database(request: pytest.FixtureRequest) -> TakeDatabase:
    """Whatever stands on this runs once for each kind of database."""
    if request.param == "sqlite":
        return in_memory
    databases: Databases = request.getfixturevalue("databases")
    return databases.take


@pytest.fixture
def open_ci(tmp_path: Path, clock: Clock, take_database: TakeDatabase) -> Iterator[OpenCi]:
    """Opens services on the same folder, each with a database of its own and these variables."""
    with ExitStack() as opened:

        def open_one(**changed: str) -> Ci:
            url = opened.enter_context(take_database())
            variables = {"CI_DATABASE_URL": url, **changed}
            return opened.enter_context(Ci(environment(tmp_path, **variables), clock))

        yield open_one


@pytest.fixture
def ci(open_ci: OpenCi) -> Ci:
    return open_ci()


@pytest.fixture
def shared_ci(take_database: TakeDatabase, open_ci: OpenCi, tmp_path: Path) -> Ci:
    """A service on a database that threads use at once."""
    in_a_file = {"CI_DATABASE_URL": f"sqlite:///{tmp_path / 'ci.db'}"}
    return open_ci(**in_a_file) if take_database is in_memory else open_ci()
