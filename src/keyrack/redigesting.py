"""Versions under a pepper that was rotated out get a digest under the first one, once their text is seen.

The new digest is made where the text is proved; it is written later, off the request path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Secret
from keyrack.core.peppers import Peppers
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores

WRITTEN_AT_ONCE = 100
MAX_WAITING = 10_000
"""How many versions may wait for their new digest; further ones wait for their next success."""
REDIGESTER = "service:upkeep"


@dataclass(frozen=True, slots=True)
class Redigest:
    """A version that was proved under an old pepper, with its digest under the first: no text."""

    key_id: str
    number: int
    old: bytes = field(repr=False)
    new: bytes = field(repr=False)


class Redigests:
    """The versions to be digested anew, noted by decisions on any thread and written by one."""

    def __init__(self, peppers: Peppers):
        self._pepper = peppers.first
        self._waiting: dict[tuple[str, int], Redigest] = {}

    def note(self, key: Key, secret: Secret, text: bytes) -> None:
        """Digest a text that was just proved to be this version's; costs one HMAC, once."""
        slot = (key.id, secret.number)
        if slot in self._waiting or len(self._waiting) >= MAX_WAITING:
            return
        mac = self._pepper.index if secret.foreign else self._pepper.digest
        self._waiting[slot] = Redigest(key.id, secret.number, secret.digest, mac.digest(text))

    def write(self, stores: Stores) -> None:
        """Commit one batch of what waits, an Event a version. Raises Unavailable; nothing is lost.

        No more: while decisions add to it, it would have no end, and its thread has a log to follow.
        """
        # Copied in one step of the interpreter: decisions add to it meanwhile.
        batch = list(self._waiting.values())[:WRITTEN_AT_ONCE]
        if not batch:
            return
        stores.ledger.commit(partial(_redigest, batch, stores))
        for one in batch:
            self._waiting.pop((one.key_id, one.number), None)


def _redigest(batch: Sequence[Redigest], stores: Stores, draft: Draft) -> None:
    now = datetime.fromtimestamp(int(stores.clock()), UTC)
    for one in batch:
        key = draft.key(one.key_id)
        after = None if key is None else _redigested(key, one, stores.peppers)
        if after is not None:
            data = {"version": one.number, "pepper": stores.peppers.first.id}
            draft.write_key(after, Event(EventKind.KEY_REDIGESTED, now, REDIGESTER, data=data))


def _redigested(key: Key, one: Redigest, peppers: Peppers) -> Key | None:
    """The key with the new digest; None when another node came first, or the version is gone."""
    versions = tuple(
        replace(version, digest=one.new, pepper=peppers.first.id)
        if (version.number, version.digest) == (one.number, one.old)
        else version
        for version in key.versions
    )
    return None if versions == key.versions else replace(key, versions=versions)
