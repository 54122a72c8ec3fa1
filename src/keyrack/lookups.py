"""Keys that a partial replica does not hold, read from the store when they are asked for.

One read of a key at a time, which all who ask for it share, and a few in all: a store that is slow must
not take every thread with it.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from keyrack.core.errors import KeyrackError, Unavailable
from keyrack.core.model import Reason
from keyrack.stores.follower import Follower
from keyrack.stores.protocols import Keys
from keyrack.stores.replica import Brought

MAX_READS = 8
"""How many keys are read at the same time; whoever asks for another one meanwhile is refused."""
ATTEMPTS = 3
"""How often a key is read that changes while it is read."""

log = logging.getLogger("keyrack.lookups")


class LookUps:
    """Brings keys into the replica of a follower. Any thread may ask; it waits for the store."""

    def __init__(self, keys: Keys, follower: Follower):
        self._keys = keys
        self._follower = follower
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[None]] = {}
        self.reads = 0
        """How many keys were read."""
        self.absent = 0
        """How many of them there were not: their ids only looked like those of keys."""
        self.refused = 0
        """How many were asked for while too many others were read."""

    def bring(self, key_id: str) -> Reason | None:
        """Have the replica know this key, or know that there is none; or say why it cannot."""
        mine: Future[None] = Future()
        with self._lock:
            shared = self._under_way.get(key_id, mine)
            if shared is mine and len(self._under_way) >= MAX_READS:
                self.refused += 1
                return Reason.STORE_DOWN
            self._under_way[key_id] = shared
            self.reads += shared is mine
        if shared is mine:
            self._lead(key_id, mine)
        return self._outcome(key_id, shared)

    def _lead(self, key_id: str, mine: Future[None]) -> None:
        try:
            self._read(key_id)
            mine.set_result(None)
        except BaseException as error:  # noqa: BLE001  # whatever it was, those that wait must hear of it
            mine.set_exception(error)
        with self._lock:
            del self._under_way[key_id]

    def _outcome(self, key_id: str, shared: Future[None]) -> Reason | None:
        try:
            shared.result()
        except Unavailable:
            return Reason.STORE_DOWN
        except KeyrackError as error:
            log.error("key %s is refused: %s", key_id, error.detail)
            return Reason.STORE_DOWN
        return None

    def _read(self, key_id: str) -> None:
        for _ in range(ATTEMPTS):
            brought = self._follower.replica.bring(key_id, self._keys)
            if brought is not Brought.OUTRUN:
                self._count(brought)
                return
            # The store may be ahead of the replica: then only the log says what holds for this key.
            self._follower.poll()
        raise Unavailable("The key changed each time it was read.")

    def _count(self, brought: Brought) -> None:
        with self._lock:
            self.absent += brought is Brought.ABSENT
