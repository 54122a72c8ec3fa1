"""The service's own database: what it refuses to open, and what its trouble looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from coordinator_bed import JOBS, Coordinator

from examples.coordinator import tables
from examples.coordinator.database import Database, Overtaken, settled
from examples.coordinator.problems import Unavailable
from keyrack import ConfigurationError

SETTING = "COORDINATOR_DATABASE_URL"


@pytest.mark.spec("CO-20")
@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "jobs.db", "postgresql://localhost/jobs"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=SETTING):
        Database(url)


@pytest.mark.spec("CO-20")
def test_a_database_of_a_later_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    database = Database(url)
    with database.write() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version = {tables.VERSION + 1}")
    database.close()
    with pytest.raises(ConfigurationError, match="later version") as refusal:
        Database(url)
    assert refusal.value.setting == SETTING


def test_trouble_of_the_driver_is_ours(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    for use in (database.read, database.write):
        with pytest.raises(Unavailable), use() as connection:
            connection.exec_driver_sql("SELECT * FROM nothing")
    database.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    with pytest.raises(Unavailable):
        fail_halfway(database)
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'half'").all()
    assert found == []
    database.close()


def fail_halfway(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE half (a)")
        connection.exec_driver_sql("no SQL")


def test_an_attempt_is_repeated_until_nobody_overtakes_it() -> None:
    outcomes = iter([Overtaken(), Overtaken(), "done"])

    def attempt() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Overtaken):
            raise outcome
        return outcome

    assert settled(attempt) == "done"


@pytest.mark.spec("CO-12")
def test_a_file_that_is_damaged_while_it_is_open_is_503(
    open_coordinator: Callable[..., Coordinator], tmp_path: Path
) -> None:
    bed = open_coordinator()
    for path in tmp_path.glob("coordinator.db*"):
        path.write_bytes(b"no database any more" * 5000)
    answer = bed.request("GET", f"{JOBS}/1", by="coordinator")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
