"""The tables, on every database that the service runs on, and the closed lists that they hold."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from examples.ci_results import enumerations as closed
from examples.ci_results.models import tables
from examples.ci_results.models.database import Database

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "ci-results.md"
LEAST_CASES = 265


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A new database of each kind, at the latest schema."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'ci.db'}")
    return Database(request.getfixturevalue("postgresql_url"))


@pytest.mark.spec("CI-1", "CI-4")
def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, tables.metadata) == []
    database.close()


@pytest.mark.spec("CI-4")
def test_the_tables_of_the_requirement_are_there(database: Database) -> None:
    (listed,) = re.findall(r"^- \*\*CI-4 Tables\.\*\* (.*)$", SPEC.read_text(), re.M)
    named = re.findall(r"`([a-z_]+)`(?=\(|,|\.)", listed)
    assert len(named) == 14
    found = inspect(database.engine)
    assert set(named) <= set(found.get_table_names())
    for table, columns in re.findall(r"`([a-z_]+)`\(([^)]*)\)", listed):
        wanted = {part.split()[0] for part in columns.replace("…", "").split(",") if part.strip()}
        assert wanted <= {column["name"] for column in found.get_columns(table)}, table
    database.close()


@pytest.mark.spec("CI-5")
@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("Platform", closed.Platform),
        ("test_type", closed.TestType),
        ("progress status", closed.Stage),
        ("input_type", closed.InputType),
        ("output_type", closed.OutputType),
        ("roles", closed.Role),
    ],
)
def test_the_closed_lists_are_those_of_the_requirement(name: str, members: type[StrEnum]) -> None:
    (listed,) = re.findall(r"^- \*\*CI-5 Enumerations\.\*\* (.*)$", SPEC.read_text(), re.M)
    (values,) = re.findall(rf"{name} `([^`]*)`", listed)
    assert [member.value for member in members] == values.split("|")


@pytest.mark.spec("CI-102")
def test_every_named_test_is_there_and_there_are_enough() -> None:
    table = SPEC.read_text().partition("**CI-102")[2].partition("## 15")[0]
    named = {
        name
        for row in re.findall(r"^\| (`test_.*?) \|", table, re.M)
        for name in re.findall(r"test_\w+", row)
    }
    written = [
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"^(?:    )?def (test_\w+)\(", path.read_text(), re.M)
    ]
    assert len(named) > 30
    assert named <= set(written)
    assert len(written) >= LEAST_CASES
