"""The seam in a replica: which records it holds, and how it knows that all are what the log vouches for."""

from __future__ import annotations

from typing import Protocol

from keyrack.core.events import Head
from keyrack.stores.protocols import Record, Snapshot


class Records(Protocol):
    """Which records of keys a replica holds, and what vouches for those of all kinds.

    One thread at a time calls it, but for `get`.
    """

    def __len__(self) -> int:
        """How many records of keys are held."""

    @property
    def in_all(self) -> int:
        """How many keys there are."""

    def get(self, key_id: str) -> bytes | None:
        """The body of a key, if it is held."""

    def lacks(self, key_id: str) -> bool:
        """Whether there may be a key of this id, which is not held, in the store."""

    def use(self, key_id: str) -> None:
        """Note that a key which is held is used."""

    def expect(self, snapshot: Snapshot) -> None:
        """Make room for the records of a snapshot before they are loaded."""

    def load(self, kind: str, record_id: str, body: bytes, mark: int) -> None:
        """Take in one of all records; `mark` is its fingerprint."""

    def can_follow(self, before: Head, after: Head) -> bool:
        """Whether it can move on from one head to the next, or has to be loaded anew."""

    def follow(self, record: Record | None, before: Head, after: Head) -> None:
        """Move on by one event and the record that it is about. Raises Tampered."""

    def require_vouched(self, head: Head) -> None:
        """Raise Tampered unless all records are those that the head vouches for."""

    def watch(self, key_id: str) -> None:
        """Notice events about a key from now on; one read of a key at a time."""

    def unwatch(self, key_id: str) -> None:
        """Its read is over."""

    def admit(self, record: Record, number: int, head: Head) -> bool:
        """Hold a record that was read while the log ended with that number; False if it was outrun.

        Raises Tampered unless it is the latest of its key.
        """

    def miss(self, key_id: str, number: int) -> bool:
        """Note that there was no such key while the log ended with that number; False if that is outrun."""
