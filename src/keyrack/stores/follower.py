"""Keeps a replica in step with its store, and knows since when that is confirmed.

A poll confirms only if the log goes on from what the replica applied last. A store that cannot be
read is merely unconfirmed; one that answers differently was rolled back, forked or exchanged, and
nothing is decided from it any more.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from functools import partial

from keyrack.core.errors import KeyrackError, StoreMoved, Tampered, Unavailable
from keyrack.core.events import Entry, Event, Head, open_entry
from keyrack.core.model import Reason
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.stores.heads import head_of, lost_heads, missing_peppers, moved_to
from keyrack.stores.protocols import Excerpt, Keys, Kind, Record
from keyrack.stores.replica import Replica

BATCH = 1000
DEFAULT_MAX_STALE = 30.0
NEVER, FOREVER = float("-inf"), float("inf")


steady = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds on a clock that nobody sets and that runs on while the machine is suspended."""


class Follower:
    """Loads a replica and moves it along the log. One thread at a time polls; any thread may read."""

    def __init__(
        self,
        keys: Keys,
        peppers: Peppers,
        policy: Policy | None = None,
        *,
        max_stale: float | None = None,
        max_keys: int | None = None,
        fixed: bool = False,
    ):
        self._keys = keys
        self._peppers = peppers
        self._policy = policy or Policy()
        self._fixed = fixed
        self._turn = threading.Lock()
        self._max_stale_here = max_stale
        self._refused = False
        self._unconfigured = False
        self._behind = True
        self._max_keys = max_keys
        self.replica = Replica(peppers, self._policy, max_keys=max_keys)
        self.max_stale = DEFAULT_MAX_STALE
        """Seconds; the store's own, or less where this node was told less."""
        self.max_stale_anywhere = DEFAULT_MAX_STALE
        """Seconds; the store's own, which no node exceeds."""
        self.announced_at = FOREVER
        """When this node last said that it lives, by `steady`, if it has to: nothing is confirmed beyond
        that, since a change waits for no node whose word is older than max_stale."""
        self.confirmed_at = NEVER
        """When the last poll that confirmed the replica was sent, by `steady`."""
        self.trouble: str | None = None
        """One sentence on why the replica is not confirmed, for operators."""
        self.polls: Counter[str] = Counter()
        """How many polls `confirmed` the replica and how many `failed` to, since the start."""

    def load(self) -> None:
        """Read the whole store and check it. Raises Unavailable, Tampered or ConfigurationError."""
        with self._turn:
            self._load()

    def poll(self) -> bool:
        """Apply what is new; True when the replica is confirmed. Trouble is kept, not raised."""
        with self._turn:
            sent = steady()
            try:
                self._follow()
            except Tampered as error:
                self._refused, self.trouble = True, error.detail
            except KeyrackError as error:
                self.trouble = error.detail
            else:
                self.confirmed_at, self.trouble = min(sent, self.announced_at), None
            self.polls["confirmed" if self.trouble is None else "failed"] += 1
            return self.trouble is None

    def leave_unconfirmed(self, why: str | None) -> None:
        """Keep why there is no poll now; what is already refused keeps its own reason."""
        with self._turn:
            if not self._refused:
                self.trouble = why

    def abandon(self, why: str) -> None:
        """Decide nothing from this replica any more."""
        self._refused, self.trouble = True, why

    def age(self) -> float:
        """Seconds since the replica was last confirmed; infinite before it was loaded."""
        return steady() - self.confirmed_at

    def doubt(self) -> Reason | None:
        """Why nothing may be decided from the replica at this moment, or None."""
        if self._refused:
            return Reason.STORE_DOWN
        if self._unconfigured:
            return Reason.UNCONFIGURED
        return None if steady() - self.confirmed_at <= self.max_stale else Reason.STALE

    def _load(self) -> None:
        sent = steady()
        missing = missing_peppers(self._keys, self._peppers)
        with self._keys.snapshot() as snapshot:
            last = snapshot.last()
            if last is None:
                raise Unavailable("The store is empty; `keyrack init` makes its first key.")
            head = head_of(last, self._keys, self._peppers)
            replica = Replica(self._peppers, self._policy, max_keys=self._max_keys)
            replica.load(snapshot, head, needed_peppers=missing)
        self.max_stale_anywhere = most = store_max_stale(self._keys, self._peppers, head)
        self.max_stale = most if self._max_stale_here is None else min(most, self._max_stale_here)
        self.replica, self.confirmed_at = replica, min(sent, self.announced_at)
        # A store that cannot change and has no key will never pass anybody: that is our own trouble.
        self._unconfigured = self._fixed and not len(replica)
        self._refused, self.trouble = False, None
        self._leave_moved(last)

    def _follow(self) -> None:
        # Remembered until all of it is applied: a store says only once that there is news.
        self._behind = self._moved() or self._behind
        if self._behind:
            self._apply_new()
            self._behind = False
        if self._refused:
            raise Tampered(self.trouble or "The store was exchanged.")

    def _moved(self) -> bool:
        try:
            return self._keys.moved()
        except Tampered as error:
            ours = _named(self.replica.head)
            raise Tampered(f"{error.detail} This node had applied event {ours}.") from None

    def _apply_new(self) -> None:
        applied = BATCH
        while applied == BATCH:
            applied = self._apply_batch()
        self.replica.require_vouched()

    def _apply_batch(self) -> int:
        """Apply up to BATCH changes behind the head, which must still stand in the log. Returns how many."""
        head = self.replica.head
        changes = self._keys.since(head.number - 1, BATCH + 1)
        if not changes or hashlib.sha256(changes[0].entry.body).digest() != head.hash:
            return self._take_restored(head)
        for change in changes[1:]:
            event, head = open_entry(change.entry, self._peppers, after=head)
            if not self.replica.can_follow(head):
                self._load()
                return 0
            self.replica.apply(_changed(event, change.record), head)
        self._leave_moved(changes[-1].entry)
        return len(changes) - 1

    def _leave_moved(self, last: Entry) -> None:
        """Decide nothing more from a store that was closed: its keys change elsewhere now."""
        where = moved_to(last, self._peppers)
        if where is not None:
            self.abandon(StoreMoved(where).detail)

    def _take_restored(self, ours: Head) -> int:
        """Load anew a store whose log says that it was restored and names our head as lost."""
        last = self._keys.last()
        recent = Excerpt(after=max(0, last.number - BATCH), most=BATCH) if last else Excerpt(most=1)
        lost = lost_heads(self._keys.entries(recent), self._peppers)
        if (ours.number, ours.hash.hex()) not in lost:
            raise Tampered(self._exchanged(ours))
        self._load()
        return 0

    def _exchanged(self, ours: Head) -> str:
        last = self._keys.last()
        theirs = f"{last.number} ({hashlib.sha256(last.body).hexdigest()[:16]})" if last else "none"
        return (
            "The store was rolled back, forked or exchanged: this node had applied event "
            f"{_named(ours)}, the store's head is {theirs}."
        )


def store_max_stale(keys: Keys, peppers: Peppers, head: Head) -> float:
    """The most seconds that a replica of this store may be stale, as the store's own log says."""
    base = keys.entries(Excerpt(after=head.base - 1, most=1))[0]
    event, _ = open_entry(base, peppers)
    if event.number != head.base:
        raise Tampered(f"Event {head.base}, which says what holds for the store, is gone.", number=head.base)
    return float(event.data.get("max_stale", DEFAULT_MAX_STALE))


def _named(head: Head) -> str:
    """As `keyrack doctor --accept-head` has to be told where nodes are not registered."""
    return f"{head.number}:{head.hash.hex()}"


def _changed(event: Event, record: Record | None) -> Record | None:
    """The record that an event is about, as it was read with it: of its subject, and no older than it."""
    if event.subject is None and record is None:
        return None
    kind = Kind.about(event.kind)
    if record is None or (record.kind, record.id) != (kind, event.subject) or _older(record, event):
        raise Tampered(f"Event {event.number} came without the record that it left.", number=event.number)
    return record


def _older(record: Record, event: Event) -> bool:
    return bool(json.loads(record.body)["revision"] < event.number)
