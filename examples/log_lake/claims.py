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
        number = self._find_last() + 1 if self._last is None else self._last + 1
        while limit - self.total >= missing:
            units = min(-(-missing // block) * block, limit - self.total)
            if self._write(number, Claim(self.total, units)):
                return units
            self._learn(number)
            number += 1
        return None

    def _find_last(self) -> int:
        found = self._storage.list(self._prefix)
        last = int(found[-1].path.rpartition("/")[2].removesuffix(".json")) if found else 0
        if last:
            self._learn(last)
        return last

    def _write(self, number: int, claim: Claim) -> bool:
        text = f'{{"before":{claim.before},"units":{claim.units}}}'
        if not self._storage.put_if_absent(self._path(number), text.encode()):
            return False
        self._advance(number, claim)
        return True

    def _learn(self, number: int) -> None:
        """Take in a claim that some node made."""
        body = self._storage.get(self._path(number))
        try:
            self._advance(number, Claim(**read_json(body or b"")))
        except (KeyrackError, TypeError):
            raise Unavailable("A claim on the quota cannot be read.") from None

    def _advance(self, number: int, claim: Claim) -> None:
        self._last, self.total = number, claim.after

    def _path(self, number: int) -> str:
        return f"{self._prefix}{number:020}.json"
