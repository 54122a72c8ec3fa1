"""Which things are in a set, in about 20 bits each: never wrong about one that is in it, and wrong about
one in 10,000 that is not.

A cuckoo filter (B. Fan and others, "Cuckoo Filter: Practically Better Than Bloom", 2014): of each thing
a tag of 16 bits stands in one of two buckets of four places. Unlike a Bloom filter it can forget.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable

PLACES = 4
"""In one bucket."""
FULL = 0.8
"""The part of all places that is taken at most: below it a free one is found within a few steps."""
LEAST = 1000
MAX_KICKS = 500
_MASK = (1 << 64) - 1
_SPREAD = 0x5BD1E995
"""Odd, so that tags which are near each other lead to buckets which are not."""


class CuckooFilter:
    """A set that keeps tags in the place of things. Beyond the `expected` ones it grows by a quarter.

    Things are told apart by Python's own hash. That of a text differs from process to process, so nobody
    outside knows which of them look alike; of numbers only such belong here as nobody can choose. Not for
    several threads: while one adds, what is in it may be missed.
    """

    def __init__(self, expected: int = 0):
        self._tables = [_Table(expected)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, thing: Hashable) -> bool:
        where, tag = _hashed(thing)
        return any(table.has(where, tag) for table in self._tables)

    def add(self, thing: Hashable) -> None:
        """Take in a thing that is not in it yet."""
        self._roomy().add(*_hashed(thing))
        self._count += 1

    def discard(self, thing: Hashable) -> None:
        """Forget a thing, which has to be in it: of one that only looks alike the tag would be taken."""
        where, tag = _hashed(thing)
        self._count -= any(table.discard(where, tag) for table in self._tables)

    def _roomy(self) -> _Table:
        found = next((table for table in self._tables if not table.is_full), None)
        if found is None:
            found = _Table(self._count // 4)
            self._tables.append(found)
        return found


class _Table:
    """The buckets of a filter; beside them one more tag, of a thing for which no place was found."""

    def __init__(self, expected: int):
        self._most = max(expected, LEAST)
        self._buckets = int(self._most / (FULL * PLACES)) + 1
        self._tags = array("H", bytes(2 * PLACES * self._buckets))
        self._count = 0
        self._outside: tuple[int, int] | None = None

    @property
    def is_full(self) -> bool:
        return self._count >= self._most or self._outside is not None

    def has(self, where: int, tag: int) -> bool:
        bucket = where % self._buckets
        other = self._other(bucket, tag)
        return (
            self._place(bucket, tag) is not None
            or self._place(other, tag) is not None
            or self._outside in ((bucket, tag), (other, tag))
        )

    def add(self, where: int, tag: int) -> None:
        self._count += 1
        bucket = where % self._buckets
        if self._put(bucket, tag):
            return
        for kick in range(MAX_KICKS):
            bucket = self._other(bucket, tag)
            if self._put(bucket, tag):
                return
            # Both are full: it takes the place of another, which goes on to its own other bucket.
            place = PLACES * bucket + kick % PLACES
            tag, self._tags[place] = self._tags[place], tag
        self._outside = bucket, tag

    def discard(self, where: int, tag: int) -> bool:
        """Whether there was such a tag."""
        bucket = where % self._buckets
        for one in (bucket, self._other(bucket, tag)):
            if self._take(one, tag):
                self._count -= 1
                return True
        return False

    def _take(self, bucket: int, tag: int) -> bool:
        place = self._place(bucket, tag)
        if place is not None:
            self._tags[place] = 0
        elif self._outside == (bucket, tag):
            self._outside = None
        else:
            return False
        return True

    def _put(self, bucket: int, tag: int) -> bool:
        place = self._place(bucket, 0)
        if place is not None:
            self._tags[place] = tag
        return place is not None

    def _place(self, bucket: int, tag: int) -> int | None:
        first = PLACES * bucket
        tags = self._tags[first : first + PLACES]
        return first + tags.index(tag) if tag in tags else None

    def _other(self, bucket: int, tag: int) -> int:
        """The other of the two buckets of a tag, whichever of them this is."""
        return (tag * _SPREAD - bucket) % self._buckets


def _hashed(thing: Hashable) -> tuple[int, int]:
    """Where a thing belongs, and its tag; 0 is none, it marks what is free."""
    code = hash(thing) & _MASK
    return code >> 16, (code & 0xFFFF) or 1
