"""The first commit of a store, and keys from the environment brought into one."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Event, EventKind
from keyrack.core.model import DEFAULT_TENANT, Key, Secret, Tenant
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.stores.follower import DEFAULT_MAX_STALE
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.static import StaticCaller, StaticKeys, read_variable, static_key
from keyrack.stores.urls import is_static

FOUNDER = "operator:init"
IMPORTER = "service:environment"


def found(stores: Stores, *, max_stale: float | None = None) -> bool:
    """Write the first event and the tenant `default`; False when the store has them already."""

    def change(draft: Draft) -> bool:
        if draft.head.number:
            return False
        now = _now(stores)
        settings = {"max_stale": DEFAULT_MAX_STALE if max_stale is None else max_stale}
        draft.write_event(Event(EventKind.STORE_CREATED, now, FOUNDER, data=settings))
        tenant = Tenant(id=DEFAULT_TENANT, name=DEFAULT_TENANT, created_at=now)
        draft.write_tenant(tenant, Event(EventKind.TENANT_CREATED, now, FOUNDER))
        return True

    return stores.ledger.commit(change)


def static_callers(url: str, static: StaticKeys | None, policy: Policy) -> list[StaticCaller]:
    """The callers whose keys stand in the environment: a service's own table, or what `env:NAME` holds."""
    if static is not None:
        return static.read(policy)
    return read_variable(url.removeprefix("env:")) if is_static(url) else []


def import_static(stores: Stores, callers: Sequence[StaticCaller], policy: Policy) -> list[Key]:
    """Bring static keys into a store, each caller and variable once; returns those that came in now.

    The event is the marker: afterwards the variable is ignored while it holds the value that was
    imported, and any other value raises ConfigurationError.
    """
    return [key for caller in callers if (key := _import(stores, caller, policy)) is not None]


def _import(stores: Stores, caller: StaticCaller, policy: Policy) -> Key | None:
    now = _now(stores)
    key = static_key(caller, peppers=stores.peppers, policy=policy, now=now, by=IMPORTER)

    def change(draft: Draft) -> Key | None:
        known = draft.key(key.id)
        if known is None:
            return draft.write_key(key, _imported(key, caller, now))
        _require_same(known, caller, stores.peppers)
        return None

    return stores.ledger.commit(change)


def _imported(key: Key, caller: StaticCaller, now: datetime) -> Event:
    variables = [one.variable for one in caller.texts]
    return Event(EventKind.KEY_IMPORTED, now, IMPORTER, data={"name": key.name, "variables": variables})


def _require_same(known: Key, caller: StaticCaller, peppers: Peppers) -> None:
    """Every variable still set must hold a text that this key had when it was imported."""
    for one in caller.texts:
        data = one.text.encode("ascii")
        if not any(_is_text_of(version, data, peppers) for version in known.versions):
            raise ConfigurationError(
                one.variable, "differs from the value that was imported: rotate this key in the store."
            )


def _is_text_of(version: Secret, data: bytes, peppers: Peppers) -> bool:
    pepper = peppers[version.pepper]
    mac = pepper.index if version.foreign else pepper.digest
    return hmac.compare_digest(version.digest, mac.digest(data))


def _now(stores: Stores) -> datetime:
    return datetime.fromtimestamp(int(stores.clock()), UTC)
