"""What can be wrong with a store on this machine, looked at one by one; looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from keyrack import master_key_file
from keyrack.admin.restoring import holds
from keyrack.core.errors import ConfigurationError, KeyrackError, Tampered, Unavailable
from keyrack.core.events import open_entry
from keyrack.core.master_keys import SETTING as MASTER_KEYS
from keyrack.core.master_keys import MasterKeys
from keyrack.core.model import Key
from keyrack.core.peppers import SETTING, Peppers
from keyrack.core.records import read_key
from keyrack.core.rotation import live
from keyrack.pepper_file import beside_store, with_peppers
from keyrack.secret_file import OTHERS
from keyrack.settings import Settings
from keyrack.stores.charging import Reach
from keyrack.stores.counters import open_counters
from keyrack.stores.follower import Follower, steady
from keyrack.stores.heads import head_of, missing_peppers
from keyrack.stores.journal import Node
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind
from keyrack.stores.urls import beside, default_counters, open_stores, public_url, sqlite_path
from keyrack.vault.census import census

_REACHES: Mapping[Reach, str] = {
    "process": "in each process",
    "machine": "shared by the processes of this machine",
    "everywhere": "shared by all who name it",
}
"""Who counts together, in words."""
CLOCK_TOLERANCE = timedelta(seconds=2)
Look = Callable[[], str]
"""Says in a few words how it is; raises a KeyrackError that says what is wrong."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def examine(store: str | None) -> Iterator[Finding]:
    """Look at everything about a store, as far as it opens."""
    try:
        settings = with_peppers(Settings.read(store=store))
    except ConfigurationError as error:
        yield Finding("settings", False, error.detail)
        return
    yield Finding("settings", True, f"store {public_url(settings.store)}")
    yield _look("peppers", lambda: _peppers_given(settings))
    yield _look("files", lambda: _files(settings))
    yield _look("counters", lambda: _counters(settings))
    try:
        stores = open_stores(settings.store, peppers=settings.peppers, counters="memory:")
    except KeyrackError as error:
        yield Finding("store", False, error.detail)
        return
    yield Finding("store", True, "it opens, and its schema is the one of this version")
    with closing(stores):
        yield from _examine_open(stores, settings)


def _examine_open(stores: Stores, settings: Settings) -> Iterator[Finding]:
    follower = Follower(stores.keys, stores.peppers, max_keys=settings.replica_max_keys)
    yield _look("log", lambda: _log(stores))
    yield _look("peppers in use", lambda: _peppers_in_use(stores))
    yield _look("old digests", lambda: _old_digests(stores))
    yield _look("records", lambda: _records(follower))
    yield _look("replica", lambda: _replica(stores, follower))
    yield _look("sealed secrets", lambda: _sealed_secrets(stores, settings))
    yield _look("clock", lambda: _clock(stores))
    yield _look("nodes", lambda: _nodes(stores, follower))


def _look(name: str, look: Look) -> Finding:
    try:
        return Finding(name, True, look())
    except KeyrackError as error:
        return Finding(name, False, error.detail)


def _peppers_given(settings: Settings) -> str:
    if settings.peppers is None:
        raise ConfigurationError(SETTING, "is missing.")
    ids = [pepper.id for pepper in Peppers.parse(settings.peppers)]
    return f"{', '.join(ids)}; the first digests"


def _files(settings: Settings) -> str:
    """Every file of a store in files is its owner's alone."""
    store = sqlite_path(settings.store)
    made: tuple[Path | None, ...]
    made = (beside_store(settings.store), master_key_file.beside_store(settings.store))
    if store is not None:
        made = (store, *(beside(store, what) for what in ("journal", "counters", "credits")), *made)
    present = [path for path in made if path is not None and path.exists()]
    for path in present:
        _require_private(path)
    nothing = "none: the store is not in a file" if store is None else "none yet"
    return ", ".join(path.name for path in present) or nothing


def _require_private(path: Path) -> None:
    if path.stat().st_mode & OTHERS:
        raise ConfigurationError("KEYRACK_STORE", f"others may read {path}; `chmod 600` it.")


def _counters(settings: Settings) -> str:
    url = settings.counters or default_counters(settings.store, workers=settings.workers)
    with closing(open_counters(url)) as counters:
        counters.peek([], datetime.now(UTC).timestamp())
        return f"{public_url(url)}, {_REACHES[counters.reach]}"


def _log(stores: Stores) -> str:
    head = head_of(stores.keys.last(), stores.keys, stores.peppers)
    if not head.number:
        raise Unavailable("The store is empty; `keyrack init` makes its first key.")
    return f"event {head.number} ({head.hash.hex()[:16]}) authenticates"


def _peppers_in_use(stores: Stores) -> str:
    missing = sorted(missing_peppers(stores.keys, stores.peppers))
    retired = head_of(stores.keys.last(), stores.keys, stores.peppers).retired
    parts = [f"not given: {', '.join(missing)}"] if missing else ["all are given"]
    return "; ".join(parts + ([f"rotated out: {', '.join(retired)}"] if retired else []))


def _old_digests(stores: Stores) -> str:
    """How many keys still need a pepper that was rotated out; without any it can be taken away."""
    retired = head_of(stores.keys.last(), stores.keys, stores.peppers).retired
    named = [f'"pepper":"{pepper}"'.encode() for pepper in retired]
    now = datetime.fromtimestamp(stores.clock(), UTC)
    with stores.keys.snapshot() as snapshot:
        bodies = (body for kind, _, body, _, _ in snapshot.records() if kind == Kind.KEY)
        aged = (body for body in bodies if any(name in body for name in named))
        needing = sum(_needs(read_key(body), retired, now) for body in aged)
    if not needing:
        return "no secret needs a pepper that was rotated out"
    return f"{needing} keys have a secret that needs {', '.join(retired)} until it is next used"


def _needs(key: Key, retired: Sequence[str], now: datetime) -> bool:
    return any(version.pepper in retired for version in live(key.versions, now))


def _records(follower: Follower) -> str:
    begun = steady()
    follower.load()
    keys, tenants = follower.replica.in_all, len(follower.replica.tenants)
    return f"the log vouches for {keys} keys and {tenants} tenants, read in {steady() - begun:.1f} s"


def _replica(stores: Stores, follower: Follower) -> str:
    if not follower.replica.head.number or not follower.poll():
        raise Unavailable(follower.trouble or "It could not be brought up to date.")
    replica, last = follower.replica, stores.keys.last()
    behind = last.number - replica.head.number if last else 0
    return (
        f"{follower.age():.1f} s old, {follower.max_stale:g} s allowed, {behind} events behind; "
        f"holds {len(replica)} of {replica.in_all} keys"
    )


def _sealed_secrets(stores: Stores, settings: Settings) -> str:
    # Looking makes no file, in dev neither.
    given = master_key_file.with_master_keys(replace(settings, dev=False)).master_keys
    under, closed = census(stores, None if given is None else MasterKeys.parse(given))
    if not under:
        return "none"
    there_are = ", ".join(f"{count} under {key_id}" for key_id, count in sorted(under.items()))
    if given is None:
        return f"{there_are}; none opens here, where {MASTER_KEYS} is not set"
    if closed:
        raise Unavailable(f"{there_are}; {len(closed)} cannot be opened here, {closed[0]} for one.")
    return f"{there_are}; all of them open here"


def _clock(stores: Stores) -> str:
    last = stores.keys.last()
    if last is None:
        return "there is no event to compare it with"
    ahead = open_entry(last, stores.peppers)[0].at - datetime.now(UTC)
    if ahead > CLOCK_TOLERANCE:
        raise Unavailable(f"The last event is {ahead.total_seconds():.0f} s ahead of this machine's clock.")
    return "not behind the last event"


def _nodes(stores: Stores, follower: Follower) -> str:
    if not stores.journal.registers:
        return "this store registers none, so whoever waits for a change waits for all of max_stale"
    nodes = sorted(stores.journal.nodes(), key=lambda node: node.renewed_at)
    return "; ".join(_node(node, stores, follower) for node in nodes) or "none is running"


def _node(node: Node, stores: Stores, follower: Follower) -> str:
    age = max(0.0, steady() - node.renewed_at)
    gone = age > follower.max_stale
    if not gone and not holds(stores, node):
        raise Tampered(
            f"Node {node.id} had applied event {node.applied} ({node.hash.hex()[:16]}), which is not in this "
            "store's log; if you restored the store, `keyrack doctor --accept-head` says so to its nodes."
        )
    behind = follower.replica.head.number - node.applied
    if not gone and behind > 0 and age > 2:
        raise Unavailable(f"Node {node.id} is {behind} events behind and was heard of {age:.0f} s ago.")
    state = "gone without a word" if gone else f"at event {node.applied}, {max(0, behind)} behind"
    return f"{node.id} {state}, heard of {age:.1f} s ago"
