"""The files of a run: which there are, where they are, and how they are fetched (CI-75 to CI-77)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from examples.ci_results.models import artifacts, runs
from examples.ci_results.models.artifacts import Artifact
from examples.ci_results.models.database import Database
from examples.ci_results.operations import API
from examples.ci_results.problems import NotFound
from examples.ci_results.services.storage import Storage, StorageStatus

TYPES = (
    "build_log",
    "sample_log",
    "expected_output",
    "actual_output",
    "binary",
    "coredump",
    "combined_stdout",
)


class Stored(NamedTuple):
    """An artifact, and where it is now."""

    row: Artifact
    status: StorageStatus
    size: int | None


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way out: an address where it is fetched, or its content."""

    filename: str
    size: int
    signed_url: str | None = None
    content: Iterator[bytes] | None = None


class Artifacts:
    """Shows and hands out the files of runs. Every call blocks; NotFound where there is nothing."""

    def __init__(self, database: Database, storage: Storage, *, download_minutes: float):
        self._database = database
        self._storage = storage
        self._minutes = download_minutes

    def find(self, run_id: int, *, kind: str | None, limit: int, offset: int) -> tuple[Sequence[Stored], int]:
        """A page of the artifacts of a run, and how many there are in all."""
        with self._database.read() as connection:
            if runs.get(connection, run_id) is None:
                raise NotFound("There is no run of this id.")
            page = artifacts.find(connection, run_id, kind=kind, limit=limit, offset=offset)
            total = artifacts.count(connection, run_id, kind=kind)
        return [self._stored(row) for row in page], total

    def download(self, artifact_id: int) -> Download:
        """A file, asked for in the storage at this moment; no address is given of what is not there."""
        with self._database.read() as connection:
            row = artifacts.get(connection, artifact_id)
        place = None if row is None else self._storage.place_of(row.path)
        if row is None or place is None:
            raise NotFound("There is no such file.")
        size = place.size(row.path)
        if size is None:  # it went away at this moment
            raise NotFound("There is no such file.")
        signed_url = place.sign(row.path, self._minutes)
        if signed_url is not None:
            return Download(row.filename, size, signed_url=signed_url)
        return Download(row.filename, size, content=place.read(row.path))

    def _stored(self, row: Artifact) -> Stored:
        status = self._storage.status(row.path)
        known = row.size_bytes is not None or status is StorageStatus.MISSING
        return Stored(row, status, row.size_bytes if known else self._storage.size(row.path))


def download_url(artifact_id: int | None, status: StorageStatus) -> str | None:
    """Where a file is fetched; None where it is not."""
    if artifact_id is None or status is StorageStatus.MISSING:
        return None
    return f"{API}/downloads/{artifact_id}"
