"""The head of a stored log: what its last entry vouches for, if that entry may be there at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from keyrack.core.errors import ConfigurationError, Tampered
from keyrack.core.events import EMPTY, Entry, EventKind, Head, open_entry
from keyrack.core.peppers import SETTING, Peppers
from keyrack.stores.protocols import Keys


def head_of(last: Entry | None, keys: Keys, peppers: Peppers) -> Head:
    """The head that this last entry makes; EMPTY without one.

    Raises Tampered for an entry that does not authenticate, or whose pepper was rotated out before
    it: whoever has nothing but an old pepper must not be able to go on with the log.
    """
    if last is None:
        return EMPTY
    _, head = open_entry(last, peppers)
    if last.pepper != peppers.first.id:
        _refuse_retired(last, keys, peppers)
    return head


def _refuse_retired(last: Entry, keys: Keys, peppers: Peppers) -> None:
    # The last entry cannot tell by itself: it would say of itself whatever its writer liked.
    for entry in keys.peppers_in_use():
        if entry.pepper == last.pepper or peppers.get(entry.pepper) is None:
            continue
        _, head = open_entry(entry, peppers)
        if last.pepper in head.retired and last.number > head.base:
            raise Tampered(f"Event {last.number} is under a pepper that was rotated out.", number=last.number)


def lost_heads(entries: Iterable[Entry], peppers: Peppers) -> Iterator[tuple[int, str]]:
    """The number and the hash (hex) of each event that one of these entries says was lost by a restore."""
    for entry in entries:
        if peppers.get(entry.pepper) is None:
            continue
        event, _ = open_entry(entry, peppers)
        if event.kind is EventKind.STORE_RESTORED:
            yield from ((one["number"], one["hash"]) for one in event.data["lost"])


def moved_to(last: Entry | None, peppers: Peppers) -> str | None:
    """Where a store went whose log ends with the event that closed it."""
    # Looked for first: this is asked at every commit, and nearly no log ends so.
    if last is None or EventKind.STORE_MOVED.value.encode() not in last.body:
        return None
    event, _ = open_entry(last, peppers)
    return str(event.data["to"]) if event.kind is EventKind.STORE_MOVED else None


def missing_peppers(keys: Keys, peppers: Peppers) -> set[str]:
    """The ids of the peppers that the log names and that were not given.

    Raises ConfigurationError for one of another text than the log was written under.
    """
    missing = set()
    for entry in keys.peppers_in_use():
        pepper = peppers.get(entry.pepper)
        if pepper is None:
            missing.add(entry.pepper)
        elif not pepper.log.agrees(entry.body, entry.mac) and _check_of(entry) not in (None, pepper.check):
            raise ConfigurationError(
                SETTING, f"the text of pepper {entry.pepper!r} is not the one this store was written under."
            )
    return missing


def _check_of(entry: Entry) -> str | None:
    """The check value of the pepper that an entry says it was written under, if it can be read at all."""
    try:
        check = json.loads(entry.body)["check"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(check)
