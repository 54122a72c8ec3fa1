"""Claims on a quota, in the order in which all nodes made them: numbered objects, none written twice."""

from __future__ import annotations

from typing import NamedTuple

from examples.log_lake.storage import Storage
from keyrack import KeyrackError, Unavailable, read_json


class Claim(NamedTuple):
    """So many units, behind those that were claimed before."""

    before: int
    units: int

    @property
    def after(self) -> int:
        """How much is claimed by this one and all before it."""
        return self.before + self.units


class Claims:
    """The claims on one quota in one period, as far as this node has read them. Every call blocks."""

    def __init__(self, storage: Storage, prefix: str):
        self._storage = storage
        self._prefix = prefix
        self._last: int | None = None
        self.total = 0
        """How much all nodes have claimed, as far as is known here."""

    def claim(self, missing: int, *, block: int, limit: int) -> int | None:
        """Claim as many whole blocks as the missing units need, or what is left. Raises Unavailable.

        Returns how many units were claimed; None, and nothing is claimed, where too few are left.
        """
        self._catch_up()
        while limit - self.total >= missing:
            units = min(-(-missing // block) * block, limit - self.total)
            if self._write(Claim(self.total, units)):
                return units
            self._catch_up()
        return None

    def _catch_up(self) -> None:
        """Read the claims that others made meanwhile: reading is cheaper than writing in vain."""
        if self._last is None:
            self._last = max(self._newest() - 1, 0)
        while (body := self._storage.get(self._path(self._last + 1))) is not None:
            self.total = _read(body).after
            self._last += 1

    def _newest(self) -> int:
        found = self._storage.list(self._prefix)
        return int(found[-1].path.rpartition("/")[2].removesuffix(".json")) if found else 0

    def _write(self, claim: Claim) -> bool:
        """Whether this was the next claim; another node's is not taken in here."""
        text = f'{{"before":{claim.before},"units":{claim.units}}}'
        return self._storage.put_if_absent(self._path((self._last or 0) + 1), text.encode())

    def _path(self, number: int) -> str:
        return f"{self._prefix}{number:020}.json"


def _read(body: bytes) -> Claim:
    try:
        return Claim(**read_json(body))
    except (KeyrackError, TypeError):
        raise Unavailable("A claim on the quota cannot be read.") from None
