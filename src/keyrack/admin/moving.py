"""Copy a store into another one while it is used, and move over without a change that is lost.

Entries and records are carried over byte for byte, as they were authenticated, so the copy vouches for
itself and keys go on working under the same peppers, as do Idempotency-Keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from keyrack.admin.audit import Audit, audit
from keyrack.admin.moving_balances import copy_balances, require_room
from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict, Tampered
from keyrack.core.events import Event, EventKind
from keyrack.core.scopes import EVERYTHING
from keyrack.key_changes import Spread, require_changeable
from keyrack.progress import Report, unreported
from keyrack.stores.heads import head_of, moved_to
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Batch, Change, Excerpt, Kind, Listing, Mark, Plan, Record, Reseal, View
from keyrack.stores.urls import public_url

BATCH = 1000


class Copied(NamedTuple):
    """What the target holds now, checked, and how many events the source has made since."""

    events: int
    records: int
    missing: int


class NotEmpty(Conflict):
    """The target of a copy holds something else than a beginning of the source's log."""

    code, title = "store_not_empty", "Store is not empty"


def copy(
    source: Stores,
    target: Stores,
    *,
    by: Authority,
    with_balances: bool = True,
    report: Report = unreported,
) -> Copied:
    """Bring the target to where the source is. May be stopped and repeated.

    Without `with_balances` users' credits stay where they are, in a place that both stores share.

    Raises Conflict (`unsupported_store`) for balances that have no place in the target, before anything is
    copied; NotEmpty, Unavailable, and Tampered when what arrived is not what the source's log vouches for.
    """
    _permit(source, target, by, with_balances=with_balances)
    _carry_over(source, target, report)
    checked = _checked(target, report)
    _copy_usage(source, target)
    if with_balances:
        copy_balances(source, target)
    return Copied(checked.events, checked.records, _behind(source, checked.events))


def move(
    source: Stores,
    target: Stores,
    *,
    by: Authority,
    spread: Spread,
    with_balances: bool = True,
    report: Report = unreported,
) -> Copied:
    """Copy, close the source with a `store.moved` event, and open the target. May be stopped and repeated.

    `spread` waits until no node decides from the source any more; only then does the target open.
    Raises what `copy` raises, and Conflict (`store_moved`) when the source was moved elsewhere.
    """
    require_changeable(source)
    if _is_taken_over(source, target):
        checked = _checked(target, report)
        return Copied(checked.events, checked.records, 0)
    _permit(source, target, by, with_balances=with_balances)
    _carry_over(source, target, report)
    spread(_close(source, target, by), True)
    done = copy(source, target, by=by, with_balances=with_balances, report=report)
    _open(source, target, by)
    return done


def _permit(source: Stores, target: Stores, by: Authority, *, with_balances: bool) -> None:
    by.require(EVERYTHING)
    if with_balances:
        require_room(source, target)


def _carry_over(source: Stores, target: Stores, report: Report) -> None:
    number = _common(source, target)
    while changes := source.keys.since(number, BATCH):
        last, until = source.keys.last(), changes[-1].entry.number
        # Each mark was written with an event, so whatever is missing of them comes with the last ones.
        marks = source.keys.marks() if last is None or last.number <= until else ()
        target.keys.commit(_after(number, _batch(changes, marks)))
        number = until
        report("copying events", number, None if last is None else last.number)
    _mend(source, target, report)


def _common(source: Stores, target: Stores) -> int:
    """The number of the last event that both have; the target may have no other."""
    last = target.keys.last()
    if last is None:
        return 0
    same = source.keys.entries(Excerpt(after=last.number - 1, most=1))
    if not same or same[0].body != last.body:
        raise NotEmpty("The target holds keys, or a log of its own; copy into a store that is empty.")
    return last.number


def _after(number: int, batch: Batch) -> Plan:
    def plan(view: View) -> Batch:
        last = view.last()
        if number != (0 if last is None else last.number):
            raise NotEmpty("Somebody else writes to the target; copy into a store that nobody uses.")
        return batch

    return plan


def _batch(changes: Sequence[Change], marks: Sequence[Mark]) -> Batch:
    # A record comes as it is now, and may be newer than the event that it comes with. It stands in the
    # target as of that event until the later one arrives: until then nobody can open the target.
    records = [change.record._replace(revision=change.entry.number) for change in changes if change.record]
    return Batch([change.entry for change in changes], records, marks)


def _mend(source: Stores, target: Stores, report: Report) -> None:
    """Bring over authentications that a rotation of the pepper renewed without an event."""
    for kind in Kind:
        for done, (ours, theirs) in enumerate(_pairs(source, target, kind), start=1):
            if ours.body == theirs.body and ours.mac != theirs.mac:
                target.keys.reseal([Reseal(kind, ours.id, theirs.mac, ours.pepper, ours.mac)])
            if done % BATCH == 0:
                report(f"comparing {kind} records", done, None)


def _pairs(source: Stores, target: Stores, kind: Kind) -> Iterator[tuple[Record, Record]]:
    after = 0
    while page := source.keys.records(Listing(kind=kind, after=after, most=BATCH)):
        there = {one.id: one for one in target.keys.records(Listing(kind=kind, after=after, most=BATCH))}
        yield from ((one, there[one.id]) for one in page if one.id in there)
        after = page[-1].serial


def _checked(target: Stores, report: Report) -> Audit:
    found = audit(target, report)
    if found.fault is not None:
        raise Tampered(f"The copy does not hold: {found.fault.detail}", number=found.fault.number)
    return found


def _copy_usage(source: Stores, target: Stores) -> None:
    """Bring over when each version was used, once, and the journal's refusals."""
    after = 0
    while page := source.keys.records(Listing(after=after, most=BATCH)):
        uses = source.journal.uses([record.id for record in page])
        known = target.journal.uses([key_id for key_id, _ in uses]) if uses else {}
        target.journal.write([use for slot, use in uses.items() if slot not in known], [])
        after = page[-1].serial
    if target.journal.refusals(after=0, most=1, tenant=None):
        return
    after = 0
    while refusals := source.journal.refusals(after=after, most=BATCH, tenant=None):
        target.journal.write([], [refusal for _, refusal in refusals])
        after = refusals[-1][0]


def _behind(source: Stores, number: int) -> int:
    last = source.keys.last()
    return 0 if last is None else last.number - number


def _close(source: Stores, target: Stores, by: Authority) -> int:
    """The number of the source's last event, which says where it went."""
    where = public_url(target.url)
    last = source.keys.last()
    if last is not None and moved_to(last, source.peppers) == where:
        return last.number
    return source.ledger.commit(_event(source, EventKind.STORE_MOVED, by, {"to": where}), urgent=True)


def _open(source: Stores, target: Stores, by: Authority) -> None:
    """Let the target's log go on behind the event that closed the source."""
    change = _event(target, EventKind.STORE_TAKEN_OVER, by, {"from": public_url(source.url)})

    def plan(view: View) -> Batch:
        draft = Draft(view, target.peppers, head_of(view.last(), target.keys, target.peppers))
        change(draft)
        return draft.batch()

    target.keys.commit(plan)


def _is_taken_over(source: Stores, target: Stores) -> bool:
    """Whether the target's log goes on right behind the event that closed the source."""
    last = source.keys.last()
    if last is None or moved_to(last, source.peppers) != public_url(target.url):
        return False
    found = target.keys.entries(Excerpt(after=last.number - 1, most=2))
    return len(found) == 2 and found[0].body == last.body


def _event(stores: Stores, kind: EventKind, by: Authority, facts: dict[str, str]) -> Callable[[Draft], int]:
    def change(draft: Draft) -> int:
        now = datetime.fromtimestamp(int(stores.clock()), UTC)
        draft.write_event(Event(kind, now, by.name, data=facts))
        return draft.head.number

    return change
