"""Commits as objects: found by number, read many at a time, listed without a gap, put if absent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyrack.core.errors import Corrupted, Unavailable
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.documents import Commit, read_commit, write_commit
from keyrack.stores.objects.envelope import open_document, seal_document
from keyrack.stores.objects.fetching import fetched
from keyrack.stores.objects.paths import Place, number_of, path_of
from keyrack.stores.objects.storage import Found, Listed, Storage

ATTEMPTS = 2
"""How often a commit is put whose result is not known; the same bytes again do no harm."""


class Commits:
    """The commits in a storage, one by one; what they add up to is not known here."""

    def __init__(self, storage: Storage, peppers: Peppers):
        self._storage = storage
        self._peppers = peppers

    def find(self, number: int) -> Found | None:
        """The object of a commit, or None."""
        return self._storage.get(path_of(Place.LOG, number))

    def tag(self, number: int) -> str | None:
        """The tag of a commit's object, or None."""
        return self._storage.tag(path_of(Place.LOG, number))

    def require(self, number: int) -> Found:
        """The object of a commit behind which there are others. Raises Corrupted when it is missing."""
        found = self.find(number)
        if found is None:
            raise Corrupted(path_of(Place.LOG, number), "is missing, and there are later ones")
        return found

    def require_all(self, numbers: Sequence[int]) -> Iterator[Found]:
        """The objects of such commits, in order."""
        return fetched(self.require, numbers)

    def newest(self) -> Listed | None:
        """The last of all commits; None when there is none."""
        listed = self._storage.list(Place.LOG.folder)
        return next((one for one in reversed(listed) if number_of(one.path) is not None), None)

    def numbers_behind(self, number: int) -> range:
        """The numbers that follow on this one. Raises Corrupted when one is missing before later ones."""
        listed = self._storage.list(Place.LOG.folder, after=path_of(Place.LOG, number))
        end = number
        for found in (number_of(one.path) for one in listed):
            if found is not None and found != end + 1:
                # A directory is not listed at one instant: what was made meanwhile may be there after all.
                self.require(end + 1)
                break
            end = end if found is None else found
        return range(number + 1, end + 1)

    def open(self, number: int, found: Found, *, known_only: bool = True) -> Commit:
        """The commit in an object. Raises Corrupted; see `open_document` for `known_only`."""
        path = path_of(Place.LOG, number)
        commit = read_commit(path, open_document(path, found.data, self._peppers, known_only=known_only))
        if commit.number != number:
            raise Corrupted(path, "is the commit of another number")
        return commit

    def put(self, commit: Commit) -> tuple[Found, bool]:
        """Write a commit if its number is free: the object that has the number, and whether it is this one.

        Durable on return. Raises Unavailable when it cannot be written, or when nobody knows whether it
        was: then it is there at the next look, or never.
        """
        path = path_of(Place.LOG, commit.number)
        data = seal_document(path, write_commit(commit), self._peppers.first)
        for _ in range(ATTEMPTS):
            tag = self._put_once(path, data)
            if tag is not None:
                return Found(data, tag), True
            # Refused because one is there: another's, or our own, whose answer was lost.
            if (found := self._storage.get(path)) is not None:
                return found, found.data == data
        raise Unavailable("The change could not be written, or nobody knows whether it was.")

    def _put_once(self, path: str, data: bytes) -> str | None:
        try:
            return self._storage.put(path, data)
        except Unavailable:
            return None
