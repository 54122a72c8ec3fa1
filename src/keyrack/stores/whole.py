"""Every record in memory, and the sum over them, which the head of the log has to vouch for."""

from __future__ import annotations

from itertools import chain

from keyrack.core.errors import Tampered
from keyrack.core.events import SUM_MODULUS, Head, fingerprint
from keyrack.core.peppers import Pepper, Peppers
from keyrack.stores.protocols import Kind, Record, Snapshot

NOT_VOUCHED = "The records are not those that the log vouches for: one was altered, removed or put back."


class WholeRecords:
    """The records of a complete replica. Implements keyrack.stores.holding.Records."""

    def __init__(self, peppers: Peppers):
        self._peppers = peppers
        self._bodies: dict[str, dict[str, bytes]] = {kind: {} for kind in Kind}
        self._keys = self._bodies[Kind.KEY]
        self._sum = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def in_all(self) -> int:
        return len(self._keys)

    def get(self, key_id: str) -> bytes | None:
        return self._keys.get(key_id)

    def lacks(self, key_id: str) -> bool:
        return False

    def use(self, key_id: str) -> None:
        """All stay, used or not."""

    def expect(self, snapshot: Snapshot) -> None:
        """There is room for any number."""

    def load(self, kind: str, record_id: str, body: bytes, mark: int) -> None:
        self._bodies[kind][record_id] = body
        self._sum += mark

    def can_follow(self, before: Head, after: Head) -> bool:
        return True

    def follow(self, record: Record | None, before: Head, after: Head) -> None:
        if record is not None:
            self._replace(record, self._peppers[before.state_pepper])
        if after.state_pepper != before.state_pepper:
            self._sum = self._sum_under(self._peppers[after.state_pepper])

    def require_vouched(self, head: Head) -> None:
        if self._sum % SUM_MODULUS != head.state:
            raise Tampered(NOT_VOUCHED)

    def watch(self, key_id: str) -> None:
        """Nothing is ever read."""

    def unwatch(self, key_id: str) -> None:
        """See `watch`."""

    def admit(self, record: Record, number: int, head: Head) -> bool:
        return True

    def miss(self, key_id: str, number: int) -> bool:
        return True

    def _replace(self, record: Record, pepper: Pepper) -> None:
        bodies = self._bodies[record.kind]
        before = bodies.get(record.id)
        bodies[record.id] = record.body
        self._sum += fingerprint(record.body, pepper) - (fingerprint(before, pepper) if before else 0)

    def _sum_under(self, pepper: Pepper) -> int:
        bodies = chain.from_iterable(of_kind.values() for of_kind in self._bodies.values())
        return sum(fingerprint(body, pepper) for body in bodies)
