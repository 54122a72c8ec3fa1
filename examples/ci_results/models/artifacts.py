"""Files that belong to a run; the files themselves are in the storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from examples.ci_results.models.tables import artifact


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
    """Write that a run has a file; another file at the same path takes its place. Returns its id."""
    is_it = (artifact.c.run_id == new.run_id) & (artifact.c.path == new.path) & (artifact.c.type == new.type)
    known: int | None = connection.execute(select(artifact.c.id).where(is_it)).scalar()
    if known is not None:
        connection.execute(update(artifact).where(artifact.c.id == known).values(size_bytes=new.size_bytes))
        return known
    made: int = connection.execute(insert(artifact).returning(artifact.c.id), new._asdict()).scalar_one()
    return made


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
