"""After a store was restored from a backup: say so in its log, so that its nodes take it again.

A node that had come further than the backup refuses the store. `accept_head` commits one event that
names the heads which were lost; a node that finds its own among them loads the store anew. Where nodes
are not registered, somebody has to tell their heads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from keyrack.core.errors import Conflict, InvalidRequest
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Reason, Status
from keyrack.stores.journal import Node
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Kind
from keyrack.stores.sealing import open_key

PAGE = 1000
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_NOTHING = "Every node's head stands in this store's log, so there is nothing to accept."
_UNTOLD = (
    "This store registers no nodes: name with --lost what each of them had applied, as its readiness says."
)


class Lost(NamedTuple):
    """The event that a node had applied last and that the log lacks; the node's id where it is registered."""

    number: int
    hash: bytes
    node: str | None = None


class Restored(NamedTuple):
    """What was accepted: the event's number, the heads that are lost, and keys to look at.

    `revocations` are ids of keys that were refused as revoked, and that this store does not know to be.
    """

    number: int
    lost: tuple[Lost, ...]
    revocations: tuple[str, ...]


def read_lost(text: str) -> Lost:
    """A head as a node names it: NUMBER:HASH, the hash in 64 hexadecimal digits. Raises InvalidRequest."""
    found = _HEAD.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{text!r} names no event; write NUMBER:HASH as a node's readiness says it.")
    return Lost(int(found[1]), bytes.fromhex(found[2]))


def accept_head(stores: Stores, *, by: str, lost: Sequence[Lost] = ()) -> Restored:
    """Commit a `store.restored` event that names the heads of nodes which are ahead of the store, and `lost`.

    Raises Conflict when no head is lost, or when one of `lost` stands in the log.
    """
    _refuse_present(stores, lost)
    ahead = [
        Lost(node.applied, node.hash, node.id) for node in stores.journal.nodes() if not holds(stores, node)
    ]
    all_lost = (*ahead, *lost)
    if not all_lost:
        raise Conflict(_NOTHING if stores.journal.registers else _UNTOLD)

    def change(draft: Draft) -> int:
        facts = {
            "head": {"number": draft.head.number, "hash": draft.head.hash.hex()},
            "lost": [{"number": one.number, "hash": one.hash.hex()} for one in all_lost],
        }
        now = datetime.fromtimestamp(int(stores.clock()), UTC)
        draft.write_event(Event(EventKind.STORE_RESTORED, now, by, data=facts))
        return draft.head.number

    number = stores.ledger.commit(change, urgent=True)
    return Restored(number, all_lost, tuple(_lost_revocations(stores)))


def holds(stores: Stores, node: Node) -> bool:
    """Whether the event that a node applied last stands in the log, the same."""
    return node.applied == 0 or _stands(stores, node.applied, node.hash)


def _stands(stores: Stores, number: int, hash_: bytes) -> bool:
    found = stores.keys.entries(Excerpt(after=number - 1, most=1))
    return bool(found) and hashlib.sha256(found[0].body).digest() == hash_


def _refuse_present(stores: Stores, lost: Sequence[Lost]) -> None:
    for one in lost:
        if _stands(stores, one.number, one.hash):
            raise Conflict(
                f"Event {one.number} stands in this store's log as it is named, so it is not lost."
            )


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
