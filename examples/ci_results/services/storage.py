"""The files of the service, in one place or, with a mirror, in two (CI-76)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from examples.ci_results.problems import Unavailable, Unprocessable
from examples.ci_results.services import layout
from examples.ci_results.services.files import Files

log = logging.getLogger("ci_results.storage")


class StorageStatus(StrEnum):
    """Where a file is."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


class Storage:
    """Keeps a file in every place, and reads it from the first that has it.

    A path that is none of the layout is never written to, and nothing is there.
    """

    def __init__(self, primary: Files, mirror: Files | None = None):
        self.primary = primary
        self.mirror = mirror
        self._places = [place for place in (primary, mirror) if place is not None]

    def put(self, path: str, source: Path) -> None:
        """Keep a file. Raises Unavailable unless the first place has it; the mirror may lack it."""
        if not layout.is_path(path):
            raise Unprocessable("No file is kept at such a path.")
        self.primary.put(path, source)
        if self.mirror is not None:
            self._mirror(self.mirror, path, source)

    def status(self, path: str) -> StorageStatus:
        """In all places, in some, or in none; a place that cannot be asked has nothing."""
        having = [self._has(place, path) for place in self._places]
        if all(having):
            return StorageStatus.OK
        return StorageStatus.DEGRADED if any(having) else StorageStatus.MISSING

    def place_of(self, path: str) -> Files | None:
        """The first place that has a file. Raises Unavailable where none does, and one cannot be asked."""
        was_asked = True
        for place in self._places:
            has = self._has(place, path)
            if has:
                return place
            was_asked = was_asked and has is not None
        if not was_asked:
            raise Unavailable("The file storage cannot be read right now.")
        return None

    def size(self, path: str) -> int | None:
        """How many bytes a file has; None where it is nowhere."""
        place = self.place_of(path)
        return None if place is None else place.size(path)

    def read(self, path: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A file in chunks; nothing where it is nowhere."""
        place = self.place_of(path)
        if place is not None:
            yield from place.read(path, start=start, length=length)

    def _mirror(self, mirror: Files, path: str, source: Path) -> None:
        try:
            mirror.put(path, source)
        except Unavailable:
            log.warning("the mirror lacks %s", path)

    def _has(self, place: Files, path: str) -> bool | None:
        """Whether a place has a file; None where it cannot be asked."""
        if not layout.is_path(path):
            return False
        try:
            return place.size(path) is not None
        except Unavailable:
            return None
