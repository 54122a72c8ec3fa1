"""The files of an output, expected and produced (CI-55, CI-56, CI-59)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from examples.ci_results.enumerations import Verdict
from examples.ci_results.models import artifacts, outputs
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.models.outputs import OutputPlace, OutputRow
from examples.ci_results.problems import MissingOutput, NotFound
from examples.ci_results.services import layout
from examples.ci_results.services.artifacts import download_url
from examples.ci_results.services.storage import Storage, StorageStatus

MAX_CONTENT = 1024 * 1024
"""Bytes of a file that an answer shows; the whole of it is downloaded."""
EXPECTED, ACTUAL = "expected_output", "actual_output"
NO_FILE = "This file is not in the storage any more."


class OutputFile(NamedTuple):
    """A file of an output, wherever it is now."""

    path: str
    sha256: str
    artifact_id: int | None


class OutputSides(NamedTuple):
    """An output with its two files; `actual` is None where there is none of its own."""

    row: OutputRow
    expected: OutputFile
    actual: OutputFile | None

    @property
    def is_identical(self) -> bool:
        """Whether what was produced is what was expected: by what was said and the hashes alone."""
        return self.row.verdict is Verdict.MATCH


@dataclass(frozen=True, slots=True)
class OutputContent:
    """The first part of a file. `sha256` is of all of it."""

    place: OutputPlace
    filename: str
    sha256: str
    content: bytes
    is_truncated: bool
    storage_status: StorageStatus
    download_url: str | None


class Outputs:
    """Shows the files of outputs. Every call blocks. Raises NotFound, Unavailable."""

    def __init__(self, database: Database, storage: Storage):
        self._database = database
        self._storage = storage

    def expected(self, place: OutputPlace) -> OutputContent:
        """What the run expects."""
        sides = self._sides(place)
        return self._content(place, sides.row.filename, sides.expected)

    def actual(self, place: OutputPlace) -> OutputContent | None:
        """What the test produced; None where that is what was expected. Raises MissingOutput as well."""
        sides = self._sides(place)
        require_reported(sides.row)
        if sides.is_identical:
            return None
        if sides.actual is None:
            raise MissingOutput("The test reported without this output.")
        return self._content(place, sides.row.filename, sides.actual)

    def _sides(self, place: OutputPlace) -> OutputSides:
        with self._database.read() as connection:
            return find_sides(connection, place)

    def _content(self, place: OutputPlace, filename: str, file: OutputFile) -> OutputContent:
        size = self._storage.size(file.path)
        if size is None:
            raise NotFound(NO_FILE)
        status = self._storage.status(file.path)
        return OutputContent(
            place=place,
            filename=filename,
            sha256=file.sha256,
            content=b"".join(self._storage.read(file.path, length=MAX_CONTENT)),
            is_truncated=size > MAX_CONTENT,
            storage_status=status,
            download_url=download_url(file.artifact_id, status),
        )


def find_sides(connection: Connection, place: OutputPlace) -> OutputSides:
    """An output and its files. Raises NotFound where the ids do not belong together."""
    row = outputs.find(connection, place)
    if row is None:
        raise NotFound("There is no such output of such a test in such a run.")
    expected = _file(connection, place, row, row.expected_hash, EXPECTED)
    actual = None if row.got_hash is None else _file(connection, place, row, row.got_hash, ACTUAL)
    return OutputSides(row, expected, actual)


def require_reported(row: OutputRow) -> None:
    """Raises NotFound for an output of a test that has not reported."""
    if row.reported_at is None:
        raise NotFound("The test has not reported yet.")


def _file(
    connection: Connection, place: OutputPlace, row: OutputRow, content_hash: str, kind: str
) -> OutputFile:
    artifact_id = artifacts.of_output(connection, place.run_id, place.regression_id, row.filename, kind)
    return OutputFile(layout.result(content_hash, row.extension), content_hash, artifact_id)
