"""Logs, read line by line from files (CI-69): what each line says of itself, and pages by line number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from examples.ci_results.models import results, runs
from examples.ci_results.models.database import Database
from examples.ci_results.problems import LogNotFound, NotFound
from examples.ci_results.services import layout
from examples.ci_results.services.storage import Storage

MAX_SCANNED = 50_000
MAX_CURSOR = 10_000_000
"""The last line that a page may begin with (CI-14); what is beyond is read from the file itself."""
MAX_MESSAGE = 4_000
MAX_LINE = 64 * 1024
"""Bytes of one line that are kept; what is beyond is left out."""
LEVELS = ("debug", "info", "warning", "error", "critical")
SOURCES = ("orchestrator", "worker", "build", "test_runner", "web")
_WORD = re.compile(r"[A-Za-z_]+")
_TIME = re.compile(r"[1-9]\d{3}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?")


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines."""

    level: str | None = None
    source: str | None = None
    contains: str | None = None


class Line(NamedTuple):
    """One line of a log."""

    timestamp: datetime | None
    level: str
    source: str
    message: str
    run_id: int
    sample_id: int | None


class Page(NamedTuple):
    """Some lines, and the number of the line at which the next page begins; None at the end."""

    lines: Sequence[Line]
    next_cursor: int | None


class Logs:
    """Reads logs. Every call blocks."""

    def __init__(self, database: Database, storage: Storage):
        self._database = database
        self._storage = storage

    def of_run(self, run_id: int, wanted: LineFilter, *, limit: int, cursor: int) -> Page:
        """A page of the log of a run. Raises NotFound, LogNotFound."""
        with self._database.read() as connection:
            if runs.get(connection, run_id) is None:
                raise NotFound("There is no run of this id.")
        path = layout.run_log(run_id)
        return self._page([path], wanted, limit=limit, cursor=cursor, run_id=run_id, sample_id=None)

    def of_sample(self, run_id: int, sample_id: int, wanted: LineFilter, *, limit: int, cursor: int) -> Page:
        """A page of the logs of the tests of a sample in a run, one after the other by test."""
        with self._database.read() as connection:
            test_ids = results.tests_of_sample(connection, run_id, sample_id)
        if not test_ids:
            raise NotFound("There is no such sample in such a run.")
        paths = [layout.test_log(run_id, test_id) for test_id in test_ids]
        return self._page(paths, wanted, limit=limit, cursor=cursor, run_id=run_id, sample_id=sample_id)

    def _page(
        self,
        paths: Sequence[str],
        wanted: LineFilter,
        *,
        limit: int,
        cursor: int,
        run_id: int,
        sample_id: int | None,
    ) -> Page:
        present = [path for path in paths if self._storage.place_of(path) is not None]
        if not present:
            raise LogNotFound("There is no log of this.")
        found: list[Line] = []
        numbered = enumerate(self._lines(present))
        for number, content in islice(numbered, cursor, cursor + MAX_SCANNED):
            if len(found) == limit:
                return Page(found, _cursor(number))
            line = read_line(_text(content), run_id, sample_id)
            if _matches(line, wanted):
                found.append(line)
        following = next(numbered, None)
        return Page(found, None if following is None else _cursor(following[0]))

    def _lines(self, paths: Iterable[str]) -> Iterator[bytes]:
        for path in paths:
            yield from lines(self._storage.read(path))


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file, whatever its length; a line that is very long is cut."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        rest = rest[:MAX_LINE]
    if rest:
        yield rest


def read_line(text: str, run_id: int, sample_id: int | None) -> Line:
    """What a line says of itself: the time it begins with, its first known level and source."""
    words = [word.lower() for word in _WORD.findall(text)]
    level = next((word for word in words if word in LEVELS), "info")
    source = next((word for word in words if word in SOURCES), "worker")
    return Line(_time(text), level, source, text[:MAX_MESSAGE], run_id, sample_id)


def _time(text: str) -> datetime | None:
    found = _TIME.match(text)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[0])
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # there is no such day, or none in UTC
        return None


def _cursor(number: int) -> int | None:
    return number if number <= MAX_CURSOR else None


def _text(line: bytes) -> str:
    return line[:MAX_LINE].rstrip(b"\r").decode("utf-8", "replace")


def _matches(line: Line, wanted: LineFilter) -> bool:
    return (
        wanted.level in (None, line.level)
        and wanted.source in (None, line.source)
        and (wanted.contains is None or wanted.contains.lower() in line.message.lower())
    )
