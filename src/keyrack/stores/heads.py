"""The head of a stored log: what its last entry vouches for, if that entry may be there at all."""

from __future__ import annotations

from keyrack.core.errors import Tampered
from keyrack.core.events import EMPTY, Entry, Head, open_entry
from keyrack.core.peppers import Peppers
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
