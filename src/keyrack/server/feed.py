"""The log as remote stores follow it: which keys and tenants changed, as numbers and ids alone.

A page never goes beyond what this process has applied itself: whoever reads that a key changed, and
asks here for it, must not be told what was before. The hash of a page is of the log and of the policy:
what remote stores were told of a key is what the policy made of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Set
from datetime import UTC, datetime
from typing import Any

from keyrack.core.errors import Unavailable
from keyrack.core.events import Entry, Event, open_known
from keyrack.core.records import write_time
from keyrack.server.remote_bodies import FeedQuery
from keyrack.stores.follower import steady
from keyrack.stores.journal import Node
from keyrack.stores.protocols import Excerpt, Kind
from keyrack.verifier import Verifier

LOOK_SECONDS = 0.02
CATCH_UP_SECONDS = 2.0
"""How long a follower that is ahead is waited for: it may have read from a process that is quicker."""
MAX_REMOTE_NODES = 1000
"""How many may follow that see all tenants, and how many that see their own alone."""
MAX_OF_A_TENANT = 250
"""How many of these may be of one tenant, so that none of them takes the places of all."""
REMOTE = "remote-"
"""How the nodes are called that follow through a server."""
OF_ALL = f"{REMOTE}all-"
OF_TENANT = f"{REMOTE}own-"
_HASH = slice(16)


async def catch_up(verifier: Verifier, query: FeedQuery, begun: float) -> None:
    """Wait, in no thread, until this process is as far as its follower, at most for a while from `begun`."""
    after, until = query.after or 0, begun + min(query.wait, CATCH_UP_SECONDS)
    while verifier.follower.replica.head.number < after and steady() < until:
        await asyncio.sleep(LOOK_SECONDS)


async def wait_for_news(verifier: Verifier, query: FeedQuery, begun: float) -> None:
    """Wait, in no thread, until the log goes beyond `after`, at most for `wait` seconds from `begun`."""
    until = begun + query.wait
    while verifier.follower.replica.head.number == query.after and steady() < until:
        await asyncio.sleep(LOOK_SECONDS)


def page(verifier: Verifier, query: FeedQuery, *, waited: float, within: str | None) -> dict[str, Any]:
    """What lies behind `after`, of one tenant or of all. Raises Unavailable while nothing is certain."""
    follower = verifier.follower
    age, head, doubt = follower.age(), follower.replica.head, follower.doubt()
    if doubt is not None:
        raise Unavailable("This server is not up to date itself.", reason=doubt.value)
    after = head.number if query.after is None else query.after
    reset = not _holds(verifier, after, query.hash)
    entries = [] if reset else _behind(verifier, after, query.limit, head.number)
    number = head.number if reset else entries[-1].number if entries else after
    return {
        "data": [] if reset else _items(verifier, entries, within),
        "number": number,
        "hash": _hash_at(verifier, number),
        "head": head.number,
        "reset": reset,
        "foreign": bool(follower.replica.foreign_peppers),
        "age_seconds": age,
        "waited_seconds": waited,
        "now": write_time(datetime.fromtimestamp(verifier.stores.clock(), UTC)),
        "max_stale_seconds": follower.max_stale,
    }


def node_id(node: str, *, caller: str, within: str | None) -> str:
    """What a node stands under: its own word and its caller's, so that nobody speaks for that of another.

    Those of one tenant begin alike.
    """
    place = OF_ALL if within is None else f"{OF_TENANT}{_digest(within)}-"
    return place + _digest(f"{caller} {node}")


def renew(verifier: Verifier, node_id: str, after: int | None, *, again: bool = False) -> None:
    """Say in the journal that a remote node lives, so that a change which waits, waits for it.

    One that is ahead of this process has passed nothing that is known here, whatever it says. Those whose
    word is too old for any decision are dropped, and there is room for so many only. Raises Unavailable for
    one that is renewed `again` and has left since.
    """
    journal, now = verifier.stores.journal, steady()
    known = {node.id: node for node in journal.nodes() if node.id.startswith(REMOTE)}
    if again and node_id not in known:
        raise Unavailable("This node has left.")
    if node_id not in known:
        gone = now - verifier.follower.max_stale_anywhere
        outdated = [node.id for node in known.values() if not gone <= node.renewed_at <= now]
        for one in outdated:
            journal.retire(one)
        _require_room(node_id, known.keys() - outdated)
    head = verifier.follower.replica.head.number
    number = head if after is None else after if after <= head else 0
    journal.renew(Node(node_id, number, _whole_hash(verifier, number), now))


def _require_room(node_id: str, others: Set[str]) -> None:
    if node_id.startswith(OF_ALL):
        bounds = {OF_ALL: MAX_REMOTE_NODES}
    else:
        bounds = {OF_TENANT: MAX_REMOTE_NODES, node_id.rpartition("-")[0]: MAX_OF_A_TENANT}
    for beginning, most in bounds.items():
        if sum(other.startswith(beginning) for other in others) >= most:
            raise Unavailable("Too many remote stores follow this one.")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _holds(verifier: Verifier, number: int, known: str | None) -> bool:
    """Whether this log has that number, the same event under it, and this policy was told of then."""
    if number > verifier.follower.replica.head.number:
        return False
    return known is None or known == _hash_at(verifier, number)


def _behind(verifier: Verifier, after: int, most: int, head: int) -> list[Entry]:
    if after >= head:
        return []
    found = verifier.stores.keys.entries(Excerpt(after=after, most=most))
    return [entry for entry in found if entry.number <= head]


def _items(verifier: Verifier, entries: list[Entry], within: str | None) -> list[dict[str, Any]]:
    events = (open_known(entry, verifier.stores.peppers)[0] for entry in entries)
    return [_item(event) for event in events if within in (None, event.tenant) or event.tenant is None]


def _item(event: Event) -> dict[str, Any]:
    kind = Kind.about(event.kind)
    return {
        "number": event.number,
        "key_id": event.subject if kind is Kind.KEY else None,
        "tenant": event.subject if kind is Kind.TENANT else None,
    }


def _hash_at(verifier: Verifier, number: int) -> str:
    return hashlib.sha256(_whole_hash(verifier, number) + verifier.policy_digest).hexdigest()[_HASH]


def _whole_hash(verifier: Verifier, number: int) -> bytes:
    head = verifier.follower.replica.head
    if number == head.number:
        return head.hash
    found = verifier.stores.keys.entries(Excerpt(after=number - 1, most=1)) if number else ()
    return hashlib.sha256(found[0].body).digest() if found else bytes(32)
