"""What a server proved, kept in memory under an HMAC of the text with a key that dies with the process.

A record is kept only if nothing that is known to have changed since is missing from it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from hmac import digest
from typing import Any

from keyrack.core.checks import Proved
from keyrack.core.model import Denied

MAX_KNOWN = 10_000
"""How many texts are kept; beyond that all are let go, and asked for again when they are presented."""
MAX_CHANGED = 10_000
REFUSED_SECONDS = 1.5
"""For how long the same text is not asked about again once it was refused."""


class Slots:
    """Turns texts into what they are kept under; no text is kept."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, text: str) -> bytes:
        """The slot of a text."""
        return digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")


class Known:
    """Proved versions by slot. Any thread reads; changes hold a lock."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._proved: dict[bytes, Proved] = {}
        self._slots: dict[str, set[bytes]] = {}
        self._changed: dict[tuple[str, str], int] = {}
        self._floor = 0
        self.find = self._proved.get
        """What this slot's text proves, or None: then the server has to be asked."""

    def __len__(self) -> int:
        return len(self._proved)

    def keep(self, slot: bytes, proved: Proved, event: int) -> bool:
        """Keep what was proved as of that event; False when more is known to have changed since."""
        key = proved.key
        with self._changing:
            latest = (self._changed.get(one, 0) for one in (("key", key.id), ("tenant", key.tenant)))
            if event < max(self._floor, *latest):
                return False
            if len(self._proved) >= MAX_KNOWN:
                self._clear()
            self._proved[slot] = proved
            self._slots.setdefault(key.id, set()).add(slot)
        return True

    def apply(self, changes: Iterable[Mapping[str, Any]]) -> None:
        """Let go of each key and tenant that a page of the feed names; naming neither, of everything."""
        with self._changing:
            for change in changes:
                self._drop(change)

    def forget(self, number: int) -> None:
        """Let go of everything, and take nothing that is older than this number."""
        with self._changing:
            self._changed.clear()
            self._clear()
            self._floor = number

    def _drop(self, change: Mapping[str, Any]) -> None:
        number, key_id, tenant = change["number"], change["key_id"], change["tenant"]
        if key_id is not None:
            self._mark("key", key_id, number)
            self._let_go(key_id)
        elif tenant is not None:
            self._mark("tenant", tenant, number)
            for one in {proved.key.id for proved in self._proved.values() if proved.key.tenant == tenant}:
                self._let_go(one)
        else:
            self._clear()
            self._floor = number

    def _mark(self, kind: str, name: str, number: int) -> None:
        if len(self._changed) >= MAX_CHANGED:
            self._floor = max(self._changed.values())
            self._changed.clear()
        self._changed[kind, name] = number

    def _let_go(self, key_id: str) -> None:
        for slot in self._slots.pop(key_id, ()):
            self._proved.pop(slot, None)

    def _clear(self) -> None:
        # Emptied and never replaced: `find` is bound to this very dict.
        self._proved.clear()
        self._slots.clear()


class Refusals:
    """The refusals of the last moments by slot, so that a burst of one text is one call."""

    def __init__(self) -> None:
        self._refused: dict[bytes, tuple[Denied, float]] = {}

    def find(self, slot: bytes, at: float) -> Denied | None:
        """The refusal of this slot's text, while it is fresh. `at` is by `steady`."""
        found = self._refused.get(slot)
        return found[0] if found is not None and at < found[1] else None

    def keep(self, slot: bytes, denied: Denied, at: float) -> None:
        """Remember a refusal for a moment."""
        if len(self._refused) >= MAX_KNOWN:
            self._refused.clear()
        self._refused[slot] = (denied, at + REFUSED_SECONDS)
