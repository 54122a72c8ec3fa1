"""The storage seam of this store: a few calls that a directory and every object store have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Found(NamedTuple):
    """An object's bytes, and a tag that is another one when the object was replaced."""

    data: bytes
    tag: str


class Listed(NamedTuple):
    """An object in a listing, and when it was written by the storage's clock (Unix seconds)."""

    path: str
    tag: str
    written_at: float


class Storage(Protocol):
    """Objects by path. Every call is bounded in time and raises Unavailable, never a driver's error.

    Correctness stands on `get`, `tag`, `list` and `put`; the others are conveniences.
    """

    def get(self, path: str) -> Found | None:
        """An object, or None when there is none."""

    def tag(self, path: str) -> str | None:
        """The tag of an object, or None when there is none."""

    def written_at(self, path: str) -> float | None:
        """When an object was written, by the storage's clock (Unix seconds); None when there is none.

        Right to half a second.
        """

    def list(self, folder: str, *, after: str = "") -> Sequence[Listed]:
        """The objects in a folder whose paths sort behind `after`, in order."""

    def put(self, path: str, data: bytes) -> str | None:
        """Write an object that does not exist; its tag, or None when there is one already.

        Atomic, and durable on return. When it raises Unavailable nobody knows whether it was written.
        """

    def replace(self, path: str, data: bytes) -> None:
        """Write an object, whether there is one or not. Atomic."""

    def remove(self, path: str) -> None:
        """Take an object away, if there is one."""

    def close(self) -> None:
        """Let go of every resource."""
