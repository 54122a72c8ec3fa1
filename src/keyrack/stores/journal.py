"""What happened without changing anything: use and refusals, gathered in memory and written behind.

A decision makes one cheap note. Once a second the notes are rolled up and written; a crash loses at
most that second. Denials are entries here and never Events.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import NamedTuple, Protocol

from keyrack.core.addresses import neighbourhood
from keyrack.core.model import Address, Decision, Denied, Reason

DENIALS_KEPT = 100_000
DENIALS_KEPT_SECONDS = 30 * 24 * 3600
ADDRESSES_KEPT = 20
ADDRESSES_KEPT_SECONDS = 30 * 24 * 3600
MAX_SINGLE = 1_000
"""How many refusals of proved keys one flush keeps apart; the rest are merged by key and reason."""
MAX_MERGED = 10_000
"""How many merged refusals one flush tells apart; the rest share an entry a reason."""

log = logging.getLogger("keyrack.denials")


Origin = tuple[str | None, str | None]
"""Where a decision was asked for, as its journal entry will name it: the operation and the request id."""

NOWHERE: Origin = (None, None)


Seen = Mapping[str, float]
"""Where one version of a key was used from, an address or the /64 of one, and when last (Unix seconds)."""


class Use(NamedTuple):
    """How often one version of a key passed, when first and last (Unix seconds), and from where."""

    key_id: str
    number: int
    uses: int
    first_at: float
    last_at: float
    seen: Mapping[str, float] = {}
    """The addresses used last, ADDRESSES_KEPT at most."""


class Refusal(NamedTuple):
    """A denial, or `times` unproved ones of one address and reason merged; `at` is the last one's."""

    at: float
    reason: Reason
    times: int
    address: str | None
    key_id: str | None
    tenant: str | None
    caller: str | None
    operation: str | None
    request_id: str | None


class Node(NamedTuple):
    """A process that decides on this store: how far it has come, and when it last said so."""

    id: str
    applied: int
    hash: bytes
    renewed_at: float


class Writer(Protocol):
    """Takes what was rolled up. May block, and raises a KeyrackError for trouble of its own."""

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        """Add to the uses of each version, and keep the refusals."""


class Journal(Writer, Protocol):
    """Where notes end up. Every method may block and raises Unavailable for trouble of its own."""

    registers: bool
    """Whether nodes can be registered; where not, nothing tells a change that all of them have seen it."""

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        """What is known of the use of these keys, by id and version."""

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        """Refusals in order, each with its serial; those after that serial."""

    def renew(self, node: Node) -> None:
        """Say that this node lives and how far it has come."""

    def retire(self, node_id: str) -> None:
        """Say that this node will decide nothing more."""

    def nodes(self) -> Sequence[Node]:
        """Every node that has not retired."""

    def close(self) -> None:
        """Let go of every resource."""


Noted = tuple[Decision, Address | None, float, Origin]
"""A decision, the client's address, Unix seconds, and where it was asked for."""


class MemoryJournal:
    """A journal in the process, gone with it."""

    registers = True

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._uses: dict[tuple[str, int], Use] = {}
        self._refusals: list[tuple[int, Refusal]] = []
        self._nodes: dict[str, Node] = {}
        self._serial = 0

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        with self._turn:
            for use in uses:
                known = self._uses.get((use.key_id, use.number))
                self._uses[use.key_id, use.number] = merged(known, use) if known else use
            for refusal in refusals:
                self._serial += 1
                self._refusals.append((self._serial, refusal))
            del self._refusals[:-DENIALS_KEPT]

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        with self._turn:
            return {slot: use for slot, use in self._uses.items() if slot[0] in key_ids}

    def refusals(self, *, after: int, most: int, tenant: str | None) -> Sequence[tuple[int, Refusal]]:
        with self._turn:
            found = (row for row in self._refusals if row[0] > after and tenant in (None, row[1].tenant))
            return [row for row, _ in zip(found, range(most), strict=False)]

    def renew(self, node: Node) -> None:
        with self._turn:
            self._nodes[node.id] = node

    def retire(self, node_id: str) -> None:
        with self._turn:
            self._nodes.pop(node_id, None)

    def nodes(self) -> Sequence[Node]:
        with self._turn:
            return list(self._nodes.values())

    def close(self) -> None:
        """Nothing is held."""


class Notebook:
    """Gathers notes from any thread and rolls them up for a journal.

    A deque's append and popleft are each one step of the interpreter, so no lock is needed where
    decisions are made, and no note falls between two flushes.
    """

    def __init__(self) -> None:
        self._notes: deque[Noted] = deque()
        self.note: Callable[[Noted], None] = self._notes.append
        """Remember one decision; no call of ours."""
        self._turn = threading.Lock()
        self._uses: dict[tuple[str, int], Use] = {}
        self._refusals: deque[Refusal] = deque(maxlen=DENIALS_KEPT)
        self.totals: Counter[str] = Counter()
        """Decisions by `allowed` or reason since the start, for metrics."""
        self.watchers: list[Callable[[Refusal], None]] = []
        """Called with each refusal once, when it is rolled up; they wait for nothing and raise nothing."""

    def flush(self, journal: Writer) -> None:
        """Write what was noted; on an error it is kept, rolled up, for the next flush."""
        with self._turn:
            self._roll_up()
            journal.write(list(self._uses.values()), list(self._refusals))
            self._uses.clear()
            self._refusals.clear()

    def _roll_up(self) -> None:
        """Count and log each note once, whenever it will be written."""
        uses, refusals = roll_up([self._notes.popleft() for _ in range(len(self._notes))])
        for use in uses:
            known = self._uses.get((use.key_id, use.number))
            self._uses[use.key_id, use.number] = merged(known, use) if known else use
            self.totals["allowed"] += use.uses
        for refusal in refusals:
            self._refusals.append(refusal)
            self.totals[refusal.reason.value] += refusal.times
            log.info("denied", extra={"denial": refusal._asdict()})
            for watch in self.watchers:
                watch(refusal)


class _Tally:
    """Notes of one decision and one address."""

    __slots__ = ("first_at", "last", "last_at", "times")

    def __init__(self, first: Noted):
        self.last = first
        self.times = 0
        self.first_at = self.last_at = first[2]


class _Version:
    """Notes of one version of a key that passed."""

    __slots__ = ("first_at", "last_at", "seen", "times")

    def __init__(self, first: _Tally):
        self.times = 0
        self.first_at, self.last_at = first.first_at, first.last_at
        self.seen: dict[int, tuple[Address, float]] = {}
        """Addresses by their objects, since a busy client comes with the same one a thousand times."""

    def add(self, tally: _Tally) -> None:
        """Add what was noted of one decision and one address."""
        self.times += tally.times
        self.first_at, self.last_at = min(self.first_at, tally.first_at), max(self.last_at, tally.last_at)
        address = tally.last[1]
        if address is not None:
            known = self.seen.get(id(address))
            if known is None or tally.last_at > known[1]:
                self.seen[id(address)] = (address, tally.last_at)


def roll_up(notes: Sequence[Noted]) -> tuple[list[Use], list[Refusal]]:
    """One Use a version, one Refusal a proved denial, one for all unproved of an address and reason.

    Whoever loops on a key that is refused makes no more of them than a flush can write.
    """
    versions: dict[tuple[str, int], _Version] = {}
    refused: list[tuple[Denied, _Tally]] = []
    for tally in _tallied(notes):
        decision = tally.last[0]
        if isinstance(decision, Denied):
            refused.append((decision, tally))
            continue
        slot = (decision.key.id, decision.secret.number)
        if slot not in versions:
            versions[slot] = _Version(tally)
        versions[slot].add(tally)
    return [_use(*slot, version) for slot, version in versions.items()], _refusals(refused)


def _use(key_id: str, number: int, version: _Version) -> Use:
    seen: dict[str, float] = {}
    for address, at in version.seen.values():
        here = neighbourhood(address)
        seen[here] = max(at, seen.get(here, at))
    return Use(key_id, number, version.times, version.first_at, version.last_at, latest(seen))


def _refusals(refused: Iterable[tuple[Denied, _Tally]]) -> list[Refusal]:
    single: list[Refusal] = []
    shared: dict[tuple[str | None, Reason], Refusal] = {}
    for denied, tally in refused:
        refusal = _refusal(denied, tally)
        if denied.key is not None and len(single) < MAX_SINGLE:
            single.append(refusal)
            continue
        slot = (refusal.key_id or refusal.address, refusal.reason)
        if slot not in shared and len(shared) >= MAX_MERGED:
            slot = (None, refusal.reason)
            refusal = refusal._replace(address=None, key_id=None, tenant=None, caller=None)
        before = shared.get(slot)
        shared[slot] = refusal._replace(times=before.times + refusal.times) if before else refusal
    return [*single, *shared.values()]


def latest(seen: Seen, since: float = 0.0) -> Seen:
    """Of these addresses those that are kept: the last ones, and none that was not seen since then."""
    recent = ((address, at) for address, at in seen.items() if at > since)
    return dict(nlargest(ADDRESSES_KEPT, recent, key=itemgetter(1)))


def _tallied(notes: Sequence[Noted]) -> Iterable[_Tally]:
    """Notes that hold the same objects, together: a busy key gets the same answer a thousand times."""
    found: dict[tuple[int, int], _Tally] = {}
    for note in notes:
        slot = (id(note[0]), id(note[1]))
        tally = found.get(slot)
        if tally is None:
            tally = found[slot] = _Tally(note)
        tally.last, at = note, note[2]
        tally.times += 1
        if at > tally.last_at:
            tally.last_at = at
        elif at < tally.first_at:
            tally.first_at = at
    return found.values()


def merged(known: Use, use: Use) -> Use:
    """Both uses of a version together."""
    first_at, last_at = min(known.first_at, use.first_at), max(known.last_at, use.last_at)
    return Use(
        use.key_id, use.number, known.uses + use.uses, first_at, last_at, merged_seen(known.seen, use.seen)
    )


def merged_seen(known: Seen, more: Seen) -> Seen:
    """The addresses of both, each with when it was seen last."""
    if not known or not more:
        return known or more
    return latest({**known, **{one: max(at, known.get(one, at)) for one, at in more.items()}})


def _refusal(denied: Denied, tally: _Tally) -> Refusal:
    _, address, at, (operation, request_id) = tally.last
    key = denied.key
    return Refusal(
        at=at,
        reason=denied.reason,
        times=tally.times,
        address=None if address is None else str(address),
        key_id=key.id if key else None,
        tenant=key.tenant if key else None,
        caller=(key.owner or key.name) if key else None,
        operation=operation,
        request_id=request_id,
    )
