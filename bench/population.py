"""The keys that are measured on: each follows from its number, so that every process knows its text.

They are written through the engine's own ledger, so log, chain and sums are those of a real store.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from keyrack import open_stores
from keyrack.admin.founding import found
from keyrack.core import credential
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Secret, Tenant, VersionState
from keyrack.core.peppers import Pepper
from keyrack.stores.ledger import Draft, Ledger
from keyrack.stores.protocols import Batch, Keys, Kind, Plan, View

PEPPERS = "bench:dM3xQ8vT5kR1zW7nB4hJ9cY2fL6gP0sA"
SCOPES = ("logs:read", "metrics:read", "streams/web:ingest")
CALLER = 0
"""The number of the key that may verify others."""
KEYS_IN_USE = 100
"""How many keys are presented in turn."""
CACHE = Path(__file__).parent / "cache"
TENANTS = 100
A_COMMIT = 250
"""Keys in one commit."""

_FORMAT = 2
_FILE = "store.db"
_DIGITS = bytes(credential.ALPHABET[byte % 62].encode()[0] for byte in range(256))
_MINTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_MINTER = "operator:bench"

Advance = Callable[[int], None]
"""Told how many more keys are written."""


def text_of(number: int) -> str:
    """The text of the key of that number."""
    digits = hashlib.sha512(f"bench/{number}".encode()).digest().translate(_DIGITS).decode()
    end = credential.ID_LENGTH + credential.SECRET_LENGTH
    return credential.write("kr", "live", digits[: credential.ID_LENGTH], digits[credential.ID_LENGTH : end])


def store_of(count: int, *, advance: Advance) -> Path:
    """The file of a store with so many keys; made once, then found in the cache."""
    folder = CACHE / f"keys-{count}-v{_FORMAT}"
    if not folder.exists():
        unfinished = CACHE / f"{folder.name}-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _populate(unfinished / _FILE, count, advance)
        unfinished.rename(folder)
    return folder / _FILE


def _populate(path: Path, count: int, advance: Advance) -> None:
    stores = open_stores(f"sqlite:///{path}", peppers=PEPPERS, create=True)
    found(stores)
    ledger = Ledger(cast(Keys, _New(stores.keys)), stores.peppers)
    ledger.commit(_make_tenants)
    for first in range(0, count, A_COMMIT):
        numbers = range(first, min(first + A_COMMIT, count))
        ledger.commit(partial(_mint, numbers, stores.peppers.first))
        advance(len(numbers))
    stores.close()


class _New:
    """A store or its view, for writing keys that are not in it: to look for each takes half the time."""

    def __init__(self, inner: Any):
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, plan: Plan) -> Batch:
        batch: Batch = self._inner.commit(lambda view: plan(cast(View, _New(view))))
        return batch

    def record(self, kind: Kind, record_id: str) -> None:
        """None: there is no such record yet."""


def _make_tenants(draft: Draft) -> None:
    for number in range(TENANTS):
        tenant = Tenant(id=_tenant(number), name=_tenant(number), created_at=_MINTED_AT)
        draft.write_tenant(tenant, Event(EventKind.TENANT_CREATED, _MINTED_AT, _MINTER))


def _mint(numbers: range, pepper: Pepper, draft: Draft) -> None:
    for number in numbers:
        key = _key(number, pepper)
        facts = {"name": key.name, "owner": key.owner, "scopes": key.scopes}
        draft.write_key(key, Event(EventKind.KEY_MINTED, _MINTED_AT, _MINTER, data=facts))


def _key(number: int, pepper: Pepper) -> Key:
    text = text_of(number)
    digest = pepper.digest.digest(text.encode())
    return Key(
        id=text[8:20],
        prefix="kr",
        environment="live",
        tenant=_tenant(number),
        name=f"service {number}",
        owner=f"user-{number % 5000}",
        scopes=("keys:verify", "tenants:verify") if number == CALLER else SCOPES,
        created_at=_MINTED_AT,
        created_by=_MINTER,
        versions=(Secret(1, VersionState.LIVE, _MINTED_AT, pepper.id, digest),),
        ending=text[-4:],
    )


def _tenant(number: int) -> str:
    return f"tenant-{number % TENANTS}"
