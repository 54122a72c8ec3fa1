"""What is written behind commits, in one thread and at leisure: checkpoints and projections.

Both can be made again from the log at any time, so trouble is logged and holds nothing up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from keyrack.core.errors import KeyrackError
from keyrack.core.peppers import Peppers
from keyrack.stores.objects import checkpoints
from keyrack.stores.objects.frozen import Frozen
from keyrack.stores.objects.projection import projected
from keyrack.stores.objects.storage import Storage
from keyrack.stores.protocols import Record

log = logging.getLogger("keyrack.stores.objects")


class Behind:
    """Writes behind the commits of one process."""

    def __init__(self, storage: Storage, peppers: Peppers):
        self._storage = storage
        self._peppers = peppers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keyrack-behind")
        self._turn = threading.Lock()
        self._changed: dict[tuple[str, str], Record] = {}

    def note(self, records: Sequence[Record]) -> None:
        """Have the documents of these records written; of two changes to one the later is."""
        with self._turn:
            is_idle = not self._changed
            self._changed.update(((record.kind, record.id), record) for record in records)
        if is_idle and records:
            self._thread.submit(self._write_changed)

    def checkpoint(self, freeze: Callable[[], AbstractContextManager[Frozen]]) -> None:
        """Have a checkpoint taken and written."""
        self._thread.submit(self._write_checkpoint, freeze)

    def project(self, records: Iterable[Record]) -> int:
        """Write the documents of these records now; how many there are. Raises Unavailable."""
        written = 0
        for path, data in filter(None, map(projected, records)):
            self._storage.replace(path, data)
            written += 1
        return written

    def close(self) -> None:
        """Write what is waiting, and end the thread."""
        self._thread.shutdown(wait=True)

    def _write_checkpoint(self, freeze: Callable[[], AbstractContextManager[Frozen]]) -> None:
        try:
            with freeze() as frozen:
                checkpoints.write(self._storage, frozen, self._peppers)
        except KeyrackError as error:
            log.warning("a checkpoint could not be written: %s", error.detail)

    def _write_changed(self) -> None:
        with self._turn:
            changed, self._changed = list(self._changed.values()), {}
        try:
            self.project(changed)
        except KeyrackError as error:
            log.warning("documents of keys are not up to date: %s", error.detail)
