"""Notes of processes as objects: rows of JSON, read again only where an object was replaced.

They are no authority for anything and are not authenticated; one that cannot be read is passed over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from keyrack.core.model import Reason
from keyrack.stores.journal import Refusal, Use
from keyrack.stores.objects.paths import Place, merged_number_of
from keyrack.stores.objects.storage import Listed, Storage

FORMAT = 1
MICROSECONDS = 1_000_000

log = logging.getLogger("keyrack.stores.objects")


class Notes(NamedTuple):
    """The rows of an object; of one that puts others together also their paths."""

    rows: Sequence[Any]
    merged: Sequence[str] = ()


class Reading:
    """The notes of all processes, remembered by the tag of the object that they are in."""

    def __init__(self, storage: Storage):
        self._storage = storage
        self._known: dict[str, tuple[str, Notes]] = {}

    def uses(self, *, without: str) -> Iterator[Sequence[Use]]:
        """The uses in each object but that one, and but those that were put together in another."""
        listed = self._listed(Place.USAGE)
        together = newest_merged(listed)
        notes = Notes(()) if together is None else self._notes(together, _use)
        yield notes.rows
        passed_over = {without, *notes.merged}
        for one in listed:
            if one.path not in passed_over and merged_number_of(one.path) is None:
                yield self._notes(one, _use).rows

    def refusals(self, *, without: str) -> Iterator[Sequence[Refusal]]:
        """The refusals in each object but that one."""
        for one in self._listed(Place.DENIALS):
            if one.path != without:
                yield self._notes(one, _refusal).rows

    def _listed(self, place: Place) -> Sequence[Listed]:
        listed = self._storage.list(place.folder)
        paths = {one.path for one in listed}
        # Copied in one step, since others read at the same time, and each lets go of the same ones.
        for path in list(self._known):
            if path.startswith(place.folder) and path not in paths:
                self._known.pop(path, None)
        return listed

    def _notes(self, one: Listed, read: Callable[[Any], Any]) -> Notes:
        known = self._known.get(one.path)
        if known is None or known[0] != one.tag:
            notes = _read(self._storage, one.path, read) or Notes(())
            known = self._known[one.path] = (one.tag, notes)
        return known[1]


def newest_merged(listed: Sequence[Listed]) -> Listed | None:
    """The object that counts of those which put others together: the one with the highest number."""
    found = [one for one in listed if merged_number_of(one.path) is not None]
    return max(found, key=lambda one: one.path, default=None)


def written(rows: Iterable[Use | Refusal], *, merged: Sequence[str] = ()) -> bytes:
    """Notes as the bytes of an object."""
    members = {"format": FORMAT, "rows": list(rows), "merged": merged}
    return json.dumps(members, separators=(",", ":")).encode()


def read_uses(storage: Storage, path: str) -> Notes | None:
    """The uses in an object; None when it cannot be read. Raises Unavailable."""
    return _read(storage, path, _use)


def numbered(refusals: Sequence[Refusal]) -> list[tuple[int, Refusal]]:
    """Refusals in order, each with a serial that follows from its time and grows from one to the next."""
    serial, rows = 0, []
    for refusal in refusals:
        serial = max(serial + 1, int(refusal.at * MICROSECONDS))
        rows.append((serial, refusal))
    return rows


def _read(storage: Storage, path: str, read: Callable[[Any], Any]) -> Notes | None:
    found = storage.get(path)
    if found is None:
        return None
    try:
        members = json.loads(found.data)
        return Notes([read(row) for row in members["rows"]], members.get("merged", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("%s cannot be read and is passed over", path)
        return None


def _use(row: Any) -> Use:
    return Use(*row)


def _refusal(row: Any) -> Refusal:
    return Refusal(row[0], Reason(row[1]), *row[2:])
