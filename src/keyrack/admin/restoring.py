"""After a store was restored from a backup: say so in its log, so that its nodes take it again.

A node that had come further than the backup refuses the store. `accept_head` commits one event that
names the heads which were lost; a node that finds its own among them loads the store anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from keyrack.core.errors import Conflict
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Reason, Status
from keyrack.stores.journal import Node
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Kind
from keyrack.stores.sealing import open_key

PAGE = 1000


class Restored(NamedTuple):
    """What was accepted: the event's number, the heads that are lost, and keys to look at.

    `revocations` are ids of keys that were refused as revoked, and that this store does not know to be.
    """

    number: int
    lost: tuple[Node, ...]
    revocations: tuple[str, ...]


def accept_head(stores: Stores, *, by: str) -> Restored:
    """Commit a `store.restored` event. Raises Conflict when no node is ahead of the store."""
    lost = tuple(node for node in stores.journal.nodes() if not holds(stores, node))
    if not lost:
        raise Conflict("Every node's head stands in this store's log, so there is nothing to accept.")

    def change(draft: Draft) -> int:
        facts = {
            "head": {"number": draft.head.number, "hash": draft.head.hash.hex()},
            "lost": [{"number": node.applied, "hash": node.hash.hex()} for node in lost],
        }
        now = datetime.fromtimestamp(int(stores.clock()), UTC)
        draft.write_event(Event(EventKind.STORE_RESTORED, now, by, data=facts))
        return draft.head.number

    number = stores.ledger.commit(change, urgent=True)
    return Restored(number, lost, tuple(_lost_revocations(stores)))


def holds(stores: Stores, node: Node) -> bool:
    """Whether the event that a node applied last stands in the log, the same."""
    if node.applied == 0:
        return True
    found = stores.keys.entries(Excerpt(after=node.applied - 1, most=1))
    return bool(found) and hashlib.sha256(found[0].body).digest() == node.hash


def _lost_revocations(stores: Stores) -> Sequence[str]:
    refused: dict[str, None] = {}
    after = 0
    while page := stores.journal.refusals(after=after, most=PAGE, tenant=None):
        after = page[-1][0]
        keys = (one.key_id for _, one in page if one.reason is Reason.REVOKED)
        refused.update((key_id, None) for key_id in keys if key_id is not None)
    return [key_id for key_id in refused if not _is_revoked(stores, key_id)]


def _is_revoked(stores: Stores, key_id: str) -> bool:
    record = stores.keys.record(Kind.KEY, key_id)
    return record is not None and open_key(record, stores.peppers).status is Status.REVOKED
