"""The records of keys that a partial replica holds: no more than it may, and those that were used lately."""

from __future__ import annotations

from collections.abc import Callable


class HeldBodies:
    """Bodies by key id, at most `most`. When there is no room, one goes that was not used for a round.

    A round ends when all that were not used in it have gone; then those that were used are asked again
    (the clock algorithm): `forget_use` is called, and whatever is used from then on has to be told by `use`.
    One thread at a time changes it; any thread may `get`.
    """

    def __init__(self, most: int, forget_use: Callable[[], object]):
        self._most = most
        self._forget_use = forget_use
        self._used: dict[str, bytes] = {}
        self._unused: dict[str, bytes] = {}
        self._leaving: list[str] = []

    def __len__(self) -> int:
        return len(self._used) + len(self._unused)

    def get(self, key_id: str) -> bytes | None:
        """The body, if it is held; says nothing of its use."""
        # Used once more: it may have become that between the two looks.
        return self._used.get(key_id) or self._unused.get(key_id) or self._used.get(key_id)

    def use(self, key_id: str) -> None:
        """Note that a body which is held is used."""
        body = self._unused.get(key_id)
        if body is not None:
            # First there, then not here: whoever gets it meanwhile finds it all the time.
            self._used[key_id] = body
            del self._unused[key_id]

    def keep(self, key_id: str, body: bytes) -> None:
        """Put a body in the place of the one that is held, or in free room; else leave it."""
        held = self._unused if key_id in self._unused else self._used
        if key_id in held or len(self) < self._most:
            held[key_id] = body

    def hold(self, key_id: str, body: bytes) -> None:
        """Take in a body that is used."""
        self.use(key_id)
        if key_id not in self._used and len(self) >= self._most:
            self._make_room()
        self._used[key_id] = body

    def _make_room(self) -> None:
        if not self._unused:
            self._begin_round()
        left = next(key_id for key_id in iter(self._leaving.pop, None) if key_id in self._unused)
        del self._unused[left]

    def _begin_round(self) -> None:
        # In this order: whoever gets one meanwhile finds it all the time.
        self._unused, self._used = self._used, {}
        self._leaving = list(reversed(self._unused))
        self._forget_use()
