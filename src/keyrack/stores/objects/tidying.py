"""Notes of processes that are no more: uses are put together in one object, refusals go when they are old.

An object that puts others together is numbered and written with put-if-absent, and names them; the one with
the highest number counts. So nothing is counted twice or not at all, whenever this is interrupted and however
many do it. What it names is taken away when all who listed it before have read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from keyrack.stores.journal import DENIALS_KEPT_SECONDS
from keyrack.stores.objects.notes import Notes, newest_merged, read_uses, written
from keyrack.stores.objects.paths import Place, merged_number_of, path_of
from keyrack.stores.objects.storage import Listed, Storage
from keyrack.stores.objects.usage import WRITTEN_FOR_SECONDS, together

FINAL_SECONDS = 4 * WRITTEN_FOR_SECONDS
"""What was not written for so long is never written again."""
READ_SECONDS = 3600.0
"""How long whoever listed objects may take to read them."""
LEAST = 10
"""How many objects there are at least to be put together."""


def tidy(storage: Storage, just_written: str) -> None:
    """Put uses together, and take away what is not needed any more. Raises Unavailable.

    It is as late as when the object `just_written` was written: a machine whose clock is wrong harms nobody.
    """
    now = storage.written_at(just_written)
    if now is None:
        return
    _tidy_uses(storage, now)
    denials, long_ago = storage.list(Place.DENIALS.folder), now - DENIALS_KEPT_SECONDS
    _remove(storage, [one for one in denials if one.written_at < long_ago])


def _tidy_uses(storage: Storage, now: float) -> None:
    listed = storage.list(Place.USAGE.folder)
    newest = newest_merged(listed)
    notes = Notes(()) if newest is None else read_uses(storage, newest.path)
    if notes is None:
        # Without the one that counts nobody knows what is in it.
        return
    _put_together(storage, listed, notes, now)
    if newest is not None and newest.written_at < now - READ_SECONDS:
        _remove(storage, [one for one in listed if _is_contained(one, notes, newest)])


def _put_together(storage: Storage, listed: Sequence[Listed], notes: Notes, now: float) -> None:
    final = [one.path for one in listed if _is_final(one, notes, now)]
    found = {path: uses for path in final if (uses := read_uses(storage, path)) is not None}
    if len(found) < LEAST:
        return
    rows = together(chain(notes.rows, *(uses.rows for uses in found.values()))).values()
    there = {one.path for one in listed}
    merged = [*(path for path in notes.merged if path in there), *found]
    number = max((merged_number_of(path) or 0 for path in there), default=0) + 1
    # Refused when another was faster: then this is done the next time.
    storage.put(path_of(Place.MERGED, number), written(rows, merged=merged))


def _is_final(one: Listed, notes: Notes, now: float) -> bool:
    is_single = merged_number_of(one.path) is None and one.path not in notes.merged
    return is_single and one.written_at < now - FINAL_SECONDS


def _is_contained(one: Listed, notes: Notes, newest: Listed) -> bool:
    is_older = merged_number_of(one.path) is not None and one.path < newest.path
    return is_older or one.path in notes.merged


def _remove(storage: Storage, objects: Iterable[Listed]) -> None:
    for one in objects:
        storage.remove(one.path)
