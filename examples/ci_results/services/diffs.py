"""What differs between what an output should be and what it is (CI-57, CI-60)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from examples.ci_results.models.database import Database
from examples.ci_results.models.outputs import OutputPlace
from examples.ci_results.problems import NotFound, Unprocessable
from examples.ci_results.services.artifacts import download_url
from examples.ci_results.services.comparing import Comparer, TooExpensive
from examples.ci_results.services.comparison import NOTHING, Comparison, Question
from examples.ci_results.services.outputs import (
    NO_FILE,
    OutputFile,
    find_sides,
    require_reported,
)
from examples.ci_results.services.storage import Storage

MAX_FILE = 10 * 1024 * 1024


class DiffStatus(StrEnum):
    """How the two sides compare."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    MISSING_EXPECTED = "missing_expected"
    MISSING_ACTUAL = "missing_actual"


class Diff(NamedTuple):
    """A status, and what differs where both sides are there."""

    place: OutputPlace
    status: DiffStatus
    comparison: Comparison


class Diffs:
    """Compares outputs. Every call blocks."""

    def __init__(self, database: Database, storage: Storage, comparer: Comparer):
        self._database = database
        self._storage = storage
        self._comparer = comparer

    def get(self, place: OutputPlace, *, context_lines: int) -> Diff:
        """The diff of an output. Raises NotFound, Unprocessable, Unavailable."""
        with self._database.read() as connection:
            sides = find_sides(connection, place)
        require_reported(sides.row)
        if sides.is_identical:
            return Diff(place, DiffStatus.IDENTICAL, NOTHING)
        if sides.actual is None:
            return Diff(place, DiffStatus.MISSING_ACTUAL, NOTHING)
        if self._storage.size(sides.expected.path) is None:
            return Diff(place, DiffStatus.MISSING_EXPECTED, NOTHING)
        question = Question(sides.row.filename, context_lines)
        return Diff(place, DiffStatus.DIFFERENT, self._compared(sides.expected, sides.actual, question))

    def _compared(self, expected: OutputFile, actual: OutputFile, question: Question) -> Comparison:
        if max(self._size(expected), self._size(actual)) > MAX_FILE:
            raise self._refusal(f"Files over {MAX_FILE // 1024**2} MiB are not compared.", expected, actual)
        before, after = (b"".join(self._storage.read(file.path)) for file in (expected, actual))
        try:
            return self._comparer.compare(before, after, question)
        except TooExpensive:
            raise self._refusal("It takes too much to compare these files.", expected, actual) from None

    def _size(self, file: OutputFile) -> int:
        size = self._storage.size(file.path)
        if size is None:
            raise NotFound(NO_FILE)
        return size

    def _refusal(self, message: str, expected: OutputFile, actual: OutputFile) -> Unprocessable:
        """What to do instead: download both."""
        urls = {"expected": self._download_url(expected), "actual": self._download_url(actual)}
        return Unprocessable(message, download_urls=urls)

    def _download_url(self, file: OutputFile) -> str | None:
        return download_url(file.artifact_id, self._storage.status(file.path))
