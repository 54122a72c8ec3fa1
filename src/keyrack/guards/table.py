"""Finds the row of a request before any framework routes it. Closed by default: no row, no way in.

Rows that a more lenient reader could mix up are refused when the table is made, and a path that such
a reader would take for one of another row has no row at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from keyrack.core.errors import ConfigurationError
from keyrack.core.model import Access
from keyrack.guards import templates
from keyrack.guards.client_address import read_address
from keyrack.guards.matching import Matcher
from keyrack.guards.paths import is_plain
from keyrack.guards.rows import LATER, OPEN, WEBSOCKET, Row
from keyrack.guards.templates import REST, Overlap, Shape

ADDRESSES_KEPT = 256
"""For how many addresses a row keeps its Access ready."""


class Place:
    """A row made ready: what is asked of a request that comes to it."""

    __slots__ = ("access", "access_from", "is_later", "is_open", "operation", "row", "shape")

    def __init__(self, row: Row):
        self.row = row
        self.shape: Shape = templates.parse(row.path) or ()
        self.operation = str(row)
        """How journal entries name it; never the path that was called."""
        self.is_open = row.access is OPEN
        self.is_later = row.access is LATER
        self.access = row.access if isinstance(row.access, Access) else Access(service=row.service)
        self.access_from: Callable[[str | None], Access] = lru_cache(ADDRESSES_KEPT)(self._access_from)
        """The Access of a request that comes from this host."""

    def _access_from(self, host: str | None) -> Access:
        return replace(self.access, address=read_address(host))


class Table:
    """The rows of a guard, compiled. Raises ConfigurationError for rows that contradict each other."""

    def __init__(self, rows: Iterable[Row]):
        by_method = _by_method(rows)
        for places in by_method.values():
            _check_apart(places)
        self._static = {
            method: {place.row.path: place for place in places if templates.is_static(place.shape)}
            for method, places in by_method.items()
        }
        self._exact = {method: _exact(places) for method, places in by_method.items()}
        self._loose = {method: _loose(places) for method, places in by_method.items()}
        self._strict = {method for method, places in by_method.items() if _is_strict(places)}

    def find(self, method: str, path: str) -> Place | None:
        """The place of a request, or None. `path` is decoded, and relative to where the app is mounted."""
        places = self._static.get(method)
        if places is None:
            return None
        return places.get(path) or self._search(method, path)

    def find_mounted(self, method: str, path: str, root: str) -> Place | None:
        """The place of a request to an app that is mounted at `root`, where `path` begins with it.

        Frameworks route on what stands behind the root, and some on the whole. So where the whole
        path is that of a guarded row, nothing less than that is asked.
        """
        routed, whole = self.find(method, path[len(root) :]), self.find(method, path)
        if whole is None or whole.is_open or _as_one(routed, whole):
            return routed
        return whole if routed is None or routed.is_open else None

    def methods(self, path: str) -> list[str]:
        """The HTTP methods that have a row for this path."""
        return sorted(method for method in self._static if method != WEBSOCKET and self.find(method, path))

    def _search(self, method: str, path: str) -> Place | None:
        if not is_plain(path):
            return None
        found = self._exact[method].find(templates.split(path))
        if found is None:
            return None
        folded = path.casefold().rstrip("/")
        if folded == path and method in self._strict:
            return found
        return found if _as_one(found, self._loose[method].find(templates.split(folded))) else None


def _by_method(rows: Iterable[Row]) -> dict[str, list[Place]]:
    by_method: dict[str, list[Place]] = {}
    for row in rows:
        by_method.setdefault(row.method, []).append(Place(row))
    own = {place.shape for place in by_method.get("HEAD", ())}
    shared = [place for place in by_method.get("GET", ()) if place.shape not in own]
    if shared:
        by_method.setdefault("HEAD", []).extend(shared)
    return by_method


def _exact(places: Iterable[Place]) -> Matcher[Place]:
    return Matcher({place.shape: place for place in places})


def _loose(places: Iterable[Place]) -> Matcher[Place]:
    """As a reader sees it who ignores case and a slash at the end: to it `/files` is `/files/`, too."""
    seen = {templates.loosened(place.shape): place for place in places}
    rests = {shape[:-1]: place for shape, place in seen.items() if shape[-1:] == (REST,)}
    return Matcher({**rests, **seen})


def _is_strict(places: Iterable[Place]) -> bool:
    """Whether a lenient reader sees these rows as they are, so that it may differ on other paths only."""
    return all(templates.loosened(place.shape) == place.shape and REST not in place.shape for place in places)


def _check_apart(places: list[Place]) -> None:
    for first, second in combinations(places, 2):
        if first.shape == second.shape:
            raise ConfigurationError("rows", f"{first.row} and {second.row} are the same operation.")
        if not _as_one(first, second) and _confusable(first.shape, second.shape):
            raise ConfigurationError(
                "rows",
                f"a path can be of {first.row} and of {second.row}, which ask for different things; "
                "give them the same access, or change a path.",
            )


def _confusable(first: Shape, second: Shape) -> bool:
    """Whether it depends on the reader which of the two a path is of."""
    lie = templates.overlap(templates.loosened(first), templates.loosened(second))
    return lie in (Overlap.SAME, Overlap.CROSSING)


def _as_one(first: Place | None, second: Place | None) -> bool:
    """Whether it makes no difference which of the two a request comes to."""
    if first is second:
        return True
    return first is not None and second is not None and first.row.needs == second.row.needs
