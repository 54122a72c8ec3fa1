"""Files that belong to a run; the files themselves are in the storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, literal, select, update

from examples.ci_results.models.tables import (
    artifact,
    regression_test,
    regression_test_output,
    run_output,
)


class Artifact(NamedTuple):
    """One file of a run."""

    id: int
    run_id: int
    type: str
    sample_id: int | None
    regression_test_id: int | None
    filename: str
    content_type: str
    size_bytes: int | None
    path: str


class NewArtifact(NamedTuple):
    """A file that a run has from now on."""

    run_id: int
    type: str
    filename: str
    path: str
    size_bytes: int | None
    sample_id: int | None = None
    regression_test_id: int | None = None
    content_type: str = "application/octet-stream"


def keep(connection: Connection, new: NewArtifact) -> int:
    """Write that a run has a file; another one of this test and name takes its place. Returns its id."""
    is_it = (
        (artifact.c.run_id == new.run_id)
        & (artifact.c.type == new.type)
        & (artifact.c.regression_test_id.is_not_distinct_from(new.regression_test_id))
        & (artifact.c.filename == new.filename)
    )
    known: int | None = connection.execute(select(artifact.c.id).where(is_it)).scalar()
    if known is not None:
        changed = {"path": new.path, "size_bytes": new.size_bytes}
        connection.execute(update(artifact).where(artifact.c.id == known).values(changed))
        return known
    made: int = connection.execute(insert(artifact).returning(artifact.c.id), new._asdict()).scalar_one()
    return made


def freeze_expected(connection: Connection, run_id: int) -> None:
    """Write that a run has the expected outputs of its tests, as they are when it is made."""
    path = literal("TestResults/") + run_output.c.expected_hash + regression_test_output.c.extension
    found = (
        select(
            literal(run_id),
            literal("expected_output"),
            regression_test.c.sample_id,
            regression_test.c.id,
            regression_test_output.c.filename,
            literal("application/octet-stream"),
            path,
        )
        .select_from(run_output)
        .join(regression_test_output, regression_test_output.c.id == run_output.c.output_id)
        .join(regression_test, regression_test.c.id == run_output.c.regression_test_id)
        .where(run_output.c.run_id == run_id)
    )
    columns = ["run_id", "type", "sample_id", "regression_test_id", "filename", "content_type", "path"]
    connection.execute(insert(artifact).from_select(columns, found))


def of_output(connection: Connection, run_id: int, test_id: int, filename: str, kind: str) -> int | None:
    """The id of the artifact that is an output of a test of a run."""
    found = select(artifact.c.id).where(
        artifact.c.run_id == run_id,
        artifact.c.regression_test_id == test_id,
        artifact.c.filename == filename,
        artifact.c.type == kind,
    )
    return connection.execute(found).scalar()


def get(connection: Connection, artifact_id: int) -> Artifact | None:
    """One artifact."""
    row = connection.execute(select(artifact).where(artifact.c.id == artifact_id)).one_or_none()
    return None if row is None else Artifact(*row)


def find(
    connection: Connection, run_id: int, *, kind: str | None, limit: int | None = None, offset: int = 0
) -> Sequence[Artifact]:
    """A page of the artifacts of a run, by id."""
    found = select(artifact).where(artifact.c.run_id == run_id)
    if kind is not None:
        found = found.where(artifact.c.type == kind)
    rows = connection.execute(found.order_by(artifact.c.id).limit(limit).offset(offset))
    return [Artifact(*row) for row in rows]


def count(connection: Connection, run_id: int, *, kind: str | None) -> int:
    """How many artifacts a run has."""
    found = select(func.count()).select_from(artifact).where(artifact.c.run_id == run_id)
    if kind is not None:
        found = found.where(artifact.c.type == kind)
    return connection.execute(found).scalar_one()
