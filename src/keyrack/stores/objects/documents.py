"""What a commit and a checkpoint hold, and both as members of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from keyrack.core.errors import Corrupted
from keyrack.core.events import Entry
from keyrack.stores.objects.envelope import packed, unpacked
from keyrack.stores.objects.pages import PageKind
from keyrack.stores.protocols import Batch, Kind, Mark, Record, Reseal

_TEXT = ("body",)
"""Bodies are JSON of our own, and stay readable where they stand."""


class Position(NamedTuple):
    """How far a log was read: the number of the last commit, and the hash (hex) of its document."""

    number: int
    hash: str


START = Position(0, "")


class Commit(NamedTuple):
    """One commit: its number, what it stands behind, and all that it changes.

    `operation` is unlike any other's, so that a writer who was not answered finds out whether it
    was his that was written. Seals change no body, so a commit of seals has no entries.
    """

    number: int
    before: str
    operation: str
    batch: Batch
    seals: Sequence[Reseal] = ()


class Checkpoint(NamedTuple):
    """The state after the commit at `position`: see keyrack.stores.objects.state.State.

    `peppers` are the last entry under each pepper; `pages` are the names of the pages of each kind.
    """

    position: Position
    last: Entry | None
    marks: Sequence[Mark]
    peppers: Sequence[Entry]
    pages: Mapping[PageKind, Sequence[str]]


def write_commit(commit: Commit) -> dict[str, Any]:
    """The members of a commit's document."""
    batch = commit.batch
    return {
        "number": commit.number,
        "before": commit.before,
        "operation": commit.operation,
        "entries": [packed(entry, text=_TEXT) for entry in batch.entries],
        "records": [packed(record, text=_TEXT) for record in batch.records],
        "marks": [packed(mark) for mark in batch.marks],
        "seals": [packed(seal) for seal in commit.seals],
    }


def read_commit(path: str, members: Mapping[str, Any]) -> Commit:
    """The commit that `write_commit` wrote. Raises Corrupted."""
    try:
        batch = Batch(
            [_entry(row) for row in members["entries"]],
            [_record(row) for row in members["records"]],
            [_mark(row) for row in members["marks"]],
        )
        seals = [_seal(row) for row in members["seals"]]
        return Commit(members["number"], members["before"], members["operation"], batch, seals)
    except (ValueError, KeyError, TypeError):
        raise Corrupted(path, "is no commit") from None


def write_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    """The members of a checkpoint's document."""
    return {
        "number": checkpoint.position.number,
        "hash": checkpoint.position.hash,
        "last": [] if checkpoint.last is None else [packed(checkpoint.last, text=_TEXT)],
        "marks": [packed(mark) for mark in checkpoint.marks],
        "peppers": [packed(entry, text=_TEXT) for entry in checkpoint.peppers],
        "pages": {kind.value: list(checkpoint.pages[kind]) for kind in PageKind},
    }


def read_checkpoint(path: str, members: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint that `write_checkpoint` wrote. Raises Corrupted."""
    try:
        return Checkpoint(
            Position(members["number"], members["hash"]),
            next(iter([_entry(row) for row in members["last"]]), None),
            [_mark(row) for row in members["marks"]],
            [_entry(row) for row in members["peppers"]],
            {kind: members["pages"][kind] for kind in PageKind},
        )
    except (ValueError, KeyError, TypeError):
        raise Corrupted(path, "is no checkpoint") from None


def _entry(row: Mapping[str, Any]) -> Entry:
    entry: Entry = unpacked(Entry, row, text=_TEXT, coded=("mac",))
    return entry


def _record(row: Mapping[str, Any]) -> Record:
    record: Record = unpacked(Record, row, text=_TEXT, coded=("mac",))
    return record._replace(kind=Kind(record.kind))


def _mark(row: Mapping[str, Any]) -> Mark:
    mark: Mark = unpacked(Mark, row, text=(), coded=("token", "body"))
    return mark


def _seal(row: Mapping[str, Any]) -> Reseal:
    seal: Reseal = unpacked(Reseal, row, text=(), coded=("was", "mac"))
    return seal._replace(kind=Kind(seal.kind))
