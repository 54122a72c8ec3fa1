"""Pages: the pieces of a checkpoint, shared by all checkpoints in which they are the same.

A page is named by the SHA-256 of its bytes. So the checkpoint, which is authenticated and names its pages,
vouches for them, and a page that nobody changed is written once.
"""

from __future__ import annotations

import hashlib
import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from keyrack.core.errors import Corrupted
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.objects.storage import Storage

_BODY, _MAC = 3, 5
"""The fields of a record that are bytes."""

Row = Sequence[Any]


class PageKind(StrEnum):
    """What the rows of a page are; both are numbered from 1 without a gap."""

    RECORDS = "records"
    ENTRIES = "entries"

    @property
    def rows(self) -> int:
        """How many rows one page has; the last one may have fewer."""
        return _ROWS[self]

    def page_of(self, number: int) -> int:
        """The page on which the row of that number stands."""
        return (number - 1) // self.rows

    def numbers(self, page: int) -> tuple[int, int]:
        """The first and the last number that stand on a page when it is full."""
        return page * self.rows + 1, (page + 1) * self.rows


_ROWS = {PageKind.RECORDS: 500, PageKind.ENTRIES: 10_000}


class Page(NamedTuple):
    """A page by its name (hex) and as the bytes of its object."""

    name: str
    data: bytes


def write_page(kind: PageKind, rows: Sequence[Row]) -> Page:
    """A page of rows as they stand in the tables of keyrack.stores.objects.state."""
    written = [_written(row) for row in rows] if kind is PageKind.RECORDS else rows
    # Line by line: one call for all of it would keep other threads from running.
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in written)
    data = f"[{lines}]".encode("ascii")
    return Page(hashlib.sha256(data).hexdigest(), data)


def read_page(kind: PageKind, page: Page) -> list[Row]:
    """The rows that `write_page` wrote."""
    rows: list[list[Any]] = json.loads(page.data)
    return [_read(row) for row in rows] if kind is PageKind.RECORDS else list(rows)


def save_page(storage: Storage, page: Page) -> None:
    """Write a page, in the place of a spoilt one as well. Raises Unavailable."""
    path = path_of(Place.PAGE, page.name)
    if storage.put(path, page.data) is None:
        storage.replace(path, page.data)


def load_page(storage: Storage, name: str) -> Page:
    """The page of this name. Raises Corrupted, Unavailable."""
    path = path_of(Place.PAGE, name)
    found = storage.get(path)
    if found is None:
        raise Corrupted(path, "is missing")
    if hashlib.sha256(found.data).hexdigest() != name:
        raise Corrupted(path, "is not what its name says")
    return Page(name, found.data)


def _written(row: Row) -> Row:
    values = list(row)
    # Exact for any bytes: what is no UTF-8 is kept byte for byte (PEP 383).
    values[_BODY] = row[_BODY].decode("utf-8", "surrogateescape")
    values[_MAC] = b2a_base64(row[_MAC], newline=False).decode()
    return values


def _read(row: list[Any]) -> Row:
    row[_BODY] = row[_BODY].encode("utf-8", "surrogateescape")
    row[_MAC] = a2b_base64(row[_MAC])
    return row
