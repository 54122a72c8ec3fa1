"""Checkpoints: the state after a commit, so that a start reads it and a short tail of the log.

One consists of pages and of an object that names them, written last. Nothing depends on one. They are
written behind commits, and one that is bad is passed over.
"""

from __future__ import annotations

import logging
from functools import partial

from keyrack.core.errors import Corrupted
from keyrack.core.events import EventKind
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.documents import Checkpoint, Commit, read_checkpoint, write_checkpoint
from keyrack.stores.objects.envelope import open_document, seal_document
from keyrack.stores.objects.fetching import fetched
from keyrack.stores.objects.frozen import Frozen
from keyrack.stores.objects.pages import PageKind, load_page, save_page, write_page
from keyrack.stores.objects.paths import Place, number_of, path_of
from keyrack.stores.objects.state import State
from keyrack.stores.objects.storage import Storage

EVERY = 200
"""How many commits lie between two checkpoints."""
KEPT = 3

log = logging.getLogger("keyrack.stores.objects")


def newest_state(storage: Storage, peppers: Peppers) -> State:
    """The state that the newest good checkpoint holds; an empty one when there is none."""
    for path in reversed(_paths(storage)):
        try:
            return _read(storage, path, peppers)
        except Corrupted as error:
            log.error("a checkpoint is passed over: %s", error.detail)
    return State.empty()


def is_due(commit: Commit) -> bool:
    """Whether a checkpoint belongs behind this commit: after some, and after each rotation of peppers.

    From the latter on a start reads nothing that an older pepper sealed, so that one can be taken away.
    """
    rotation = EventKind.PEPPER_ROTATED.value.encode()
    return commit.number % EVERY == 0 or any(rotation in entry.body for entry in commit.batch.entries)


def write(storage: Storage, frozen: Frozen, peppers: Peppers) -> None:
    """Write a checkpoint, and take the oldest away. Raises Unavailable."""
    pages = {kind: _save_all(storage, frozen, kind) for kind in PageKind}
    checkpoint = Checkpoint(frozen.position, frozen.last(), frozen.marks, frozen.peppers, pages)
    path = path_of(Place.CHECKPOINT, frozen.position.number)
    storage.put(path, seal_document(path, write_checkpoint(checkpoint), peppers.first))
    _take_oldest_away(storage, peppers)


def _save_all(storage: Storage, frozen: Frozen, kind: PageKind) -> list[str]:
    """Write the pages of a kind that are not written; the names of all."""
    return [_save(storage, frozen, kind, page) for page in range(frozen.pages(kind))]


def _save(storage: Storage, frozen: Frozen, kind: PageKind, number: int) -> str:
    """Write a page unless it is written; its name."""
    known = frozen.written(kind, number)
    if known is not None:
        return known
    page = write_page(kind, frozen.page(kind, number))
    save_page(storage, page)
    frozen.note_written(kind, number, page.name)
    return page.name


def _take_oldest_away(storage: Storage, peppers: Peppers) -> None:
    """Remove all but the newest, each behind those of its pages that none of the newest has.

    A page that a newer checkpoint lacks is one of the past: it changed, and no later one will have it.
    """
    paths = _paths(storage)
    needed = {name for path in paths[-KEPT:] for name in _page_names(storage, path, peppers)}
    for path in paths[:-KEPT]:
        for name in _page_names(storage, path, peppers):
            if name not in needed:
                storage.remove(path_of(Place.PAGE, name))
        storage.remove(path)


def _page_names(storage: Storage, path: str, peppers: Peppers) -> list[str]:
    try:
        checkpoint = _open(storage, path, peppers)
    except Corrupted:
        return []
    return [name for names in checkpoint.pages.values() for name in names]


def _paths(storage: Storage) -> list[str]:
    listed = storage.list(Place.CHECKPOINT.folder)
    return [one.path for one in listed if number_of(one.path) is not None]


def _open(storage: Storage, path: str, peppers: Peppers) -> Checkpoint:
    found = storage.get(path)
    if found is None:
        raise Corrupted(path, "is missing")
    return read_checkpoint(path, open_document(path, found.data, peppers))


def _read(storage: Storage, path: str, peppers: Peppers) -> State:
    checkpoint = _open(storage, path, peppers)
    load = partial(load_page, storage)
    return State.of(checkpoint, {kind: fetched(load, names) for kind, names in checkpoint.pages.items()})
