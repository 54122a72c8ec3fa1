"""Notes of processes as objects: rows of JSON, read again only where an object was replaced.

They are no authority for anything and are not authenticated; one that cannot be read is passed over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from keyrack.core.model import Reason
from keyrack.stores.journal import Refusal, Use
from keyrack.stores.objects.paths import Place
from keyrack.stores.objects.storage import Storage

FORMAT = 1
MICROSECONDS = 1_000_000

log = logging.getLogger("keyrack.stores.objects")
T = TypeVar("T")


class Reading:
    """The notes of all processes, remembered by the tag of the object that they are in."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._known: dict[str, tuple[str, Sequence[Any]]] = {}

    def uses(self, *, without: str) -> Iterator[Sequence[Use]]:
        """The uses in each object but that one."""
        return self._rows(Place.USAGE, _use, without)

    def refusals(self, *, without: str) -> Iterator[Sequence[Refusal]]:
        """The refusals in each object but that one."""
        return self._rows(Place.DENIALS, _refusal, without)

    def _rows(self, place: Place, read: Callable[[Any], T], without: str) -> Iterator[Sequence[T]]:
        for path, tag in self._storage.list(place.folder):
            if path != without:
                yield self._object(path, tag, read)

    def _object(self, path: str, tag: str, read: Callable[[Any], T]) -> Sequence[T]:
        known = self._known.get(path)
        if known is not None and known[0] == tag:
            return known[1]
        found = self._storage.get(path)
        rows = [] if found is None else _read(path, found.data, read)
        self._known[path] = (tag, rows)
        return rows


def written(rows: Iterable[Use | Refusal]) -> bytes:
    """Notes as the bytes of an object."""
    return json.dumps({"format": FORMAT, "rows": list(rows)}, separators=(",", ":")).encode()


def numbered(refusals: Sequence[Refusal]) -> list[tuple[int, Refusal]]:
    """Refusals in order, each with a serial that follows from its time and grows from one to the next."""
    serial, rows = 0, []
    for refusal in refusals:
        serial = max(serial + 1, int(refusal.at * MICROSECONDS))
        rows.append((serial, refusal))
    return rows


def _read(path: str, data: bytes, read: Callable[[Any], T]) -> list[T]:
    try:
        return [read(row) for row in json.loads(data)["rows"]]
    except (ValueError, KeyError, TypeError):
        log.warning("%s cannot be read and is passed over", path)
        return []


def _use(row: Any) -> Use:
    return Use(*row)


def _refusal(row: Any) -> Refusal:
    return Refusal(row[0], Reason(row[1]), *row[2:])
