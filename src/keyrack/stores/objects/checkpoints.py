"""Checkpoints: the state after a commit as one object, so that a start reads it and a short tail.

Nothing depends on one. They are written behind commits, and one that is bad is passed over.
"""

from __future__ import annotations

import logging

from keyrack.core.errors import Corrupted
from keyrack.core.events import EventKind
from keyrack.core.peppers import Pepper, Peppers
from keyrack.stores.objects.documents import Checkpoint, Commit, read_checkpoint, write_checkpoint
from keyrack.stores.objects.envelope import open_document, seal_document
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
    return State()


def is_due(commit: Commit) -> bool:
    """Whether a checkpoint belongs behind this commit: after some, and after each rotation of peppers.

    From the latter on a start reads nothing that an older pepper sealed, so that one can be taken away.
    """
    rotation = EventKind.PEPPER_ROTATED.value.encode()
    return commit.number % EVERY == 0 or any(rotation in entry.body for entry in commit.batch.entries)


def write(storage: Storage, checkpoint: Checkpoint, pepper: Pepper) -> None:
    """Write a checkpoint, and take the oldest away. Raises Unavailable."""
    path = path_of(Place.CHECKPOINT, checkpoint.position.number)
    storage.put(path, seal_document(path, write_checkpoint(checkpoint), pepper))
    for old in _paths(storage)[:-KEPT]:
        storage.remove(old)


def _paths(storage: Storage) -> list[str]:
    listed = storage.list(Place.CHECKPOINT.folder)
    return [one.path for one in listed if number_of(one.path) is not None]


def _read(storage: Storage, path: str, peppers: Peppers) -> State:
    found = storage.get(path)
    if found is None:
        raise Corrupted(path, "is missing")
    return State.of(read_checkpoint(path, open_document(path, found.data, peppers)))
