"""A whole engine for a test: a store, a Verifier on it, its Issuer, and a clock that stands still."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keyrack import Access, Allowed, Authority, Denied, Issuer, Policy, StaticKeys, Verifier, Wish
from keyrack.core.credential import checksum
from keyrack.core.errors import KeyrackError
from keyrack.core.events import EventKind, open_entry
from keyrack.core.model import Key, Limit
from keyrack.key_changes import Minted
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS, FixedClock

OPERATOR = Authority.operator("tests")
STORES = ("memory", "sqlite")
POLICY = Policy(
    presets={"reader": ("logs:read",)},
    roles={"reader": ("*:read",)},
    limits=(Limit("requests", 3, 60),),
)
FOREIGN = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM="
STATIC = StaticKeys({"bot": ("BOT_KEY", "reader")})
"""Of one caller, whose key is FOREIGN once BOT_KEY holds it."""


class Bed:
    """What a test holds of one engine. `at` is the clock's time as the engine writes it."""

    def __init__(self, verifier: Verifier, clock: FixedClock, folder: Path):
        self.verifier = verifier
        self.clock = clock
        self.folder = folder
        self.issuer: Issuer = verifier.issuer()
        self.stores: Stores = verifier.stores
        self.tenants = Tenants(verifier.stores, spread=verifier.spread)

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(int(self.clock.now), UTC)

    def mint(self, *scopes: str, by: Authority = OPERATOR, **wish: Any) -> tuple[Minted, str]:
        """A new key and its text."""
        minted = self.issuer.mint(Wish(**{"name": "n", "scopes": scopes} | wish), by=by)
        return minted, str(minted.secret)

    def verdict(self, text: str, *scopes: str, **access: Any) -> str:
        """`ok`, or the exact reason of the refusal."""
        decision = self.verifier.verify(text, Access(scopes=scopes, **access))
        return decision.reason.value if isinstance(decision, Denied) else "ok"

    def authority(self, text: str) -> Authority:
        """The authority of whoever has this text; it has to be a good one."""
        decision = self.verifier.verify(text, Access(environments=("live", "test"), prefixes=("kr", "ci")))
        assert isinstance(decision, Allowed)
        return Authority.of(decision)

    def passes(self, seconds: float = 0, **much: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds + timedelta(**much).total_seconds())


@contextmanager
def opened(
    store: str = "memory",
    *,
    policy: Policy | None = None,
    folder: Path | None = None,
    peppers: str = PEPPERS,
    clock: FixedClock | None = None,
    **options: Any,
) -> Iterator[Bed]:
    """An engine on a new store of that kind, on the SQLite file that is in the folder already, or on the
    one at a URL."""
    made = folder or Path(tempfile.mkdtemp(prefix="keyrack-"))
    clock = clock or FixedClock()
    urls = {"memory": "memory:", "sqlite": f"sqlite:///{made / 'keys.db'}"}
    try:
        with Verifier.open(
            urls.get(store, store), peppers=peppers, policy=policy, create=True, clock=clock, **options
        ) as verifier:
            yield Bed(verifier, clock, made)
    finally:
        if folder is None:
            shutil.rmtree(made)


def refusal(work: Any, *args: Any, **options: Any) -> str | None:
    """The code of the error that this call raises, or None when it succeeds."""
    try:
        work(*args, **options)
    except KeyrackError as error:
        return error.code
    return None


def details(error: Mapping[str, Any]) -> list[str]:
    """The names of the fields that a validation found wrong."""
    return sorted(error["fields"])


def kinds(bed: Bed, key: Key) -> list[EventKind]:
    """What the log says happened to a key."""
    entries = bed.stores.keys.entries(Excerpt(subject=key.id, most=100))
    return [open_entry(entry, bed.stores.peppers)[0].kind for entry in entries]


def operations(issuer: Any, key_id: str, by: Authority = OPERATOR, **options: Any) -> list[Callable[[], Any]]:
    """Every change of a key but revoking it."""
    return [
        lambda: issuer.update(key_id, {"name": "x"}, by=by, **options),
        lambda: issuer.disable(key_id, by=by, **options),
        lambda: issuer.enable(key_id, by=by, **options),
        lambda: issuer.rotate(key_id, by=by, **options),
        lambda: issuer.promote(key_id, by=by, **options),
        lambda: issuer.abort(key_id, by=by, **options),
        lambda: issuer.undo(key_id, by=by, **options),
    ]


def other(text: str) -> str:
    """A text of the same key with another secret, whose checksum is right."""
    changed = text[:-7] + ("A" if text[-7] != "A" else "B")
    return changed + checksum(changed.encode())
