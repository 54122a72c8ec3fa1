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
        self.totals = dict.fromkeys(("found", "absent", "failed", "refused"), 0)
        """What came of all look-ups since the start; `absent` are ids that only looked like those of keys,
        `refused` came while too many others were read."""

    def bring(self, key_id: str) -> Reason | None:
        """Have the replica know this key, or know that there is none; or say why it cannot."""
        mine: Future[None] = Future()
        with self._lock:
            shared = self._under_way.get(key_id, mine)
            if shared is mine and len(self._under_way) >= MAX_READS:
                self.totals["refused"] += 1
                return Reason.STORE_DOWN
            self._under_way[key_id] = shared
        if shared is mine:
            self._lead(key_id, mine)
        return self._outcome(key_id, shared)

    def _lead(self, key_id: str, mine: Future[None]) -> None:
        try:
            brought = self._read(key_id)
        except BaseException as error:  # noqa: BLE001  # whatever it was, those that wait must hear of it
            self._end(key_id, "failed")
            mine.set_exception(error)
        else:
            self._end(key_id, "absent" if brought is Brought.ABSENT else "found")
            mine.set_result(None)

    def _end(self, key_id: str, outcome: str) -> None:
        with self._lock:
            del self._under_way[key_id]
            self.totals[outcome] += 1

    def _outcome(self, key_id: str, shared: Future[None]) -> Reason | None:
        try:
            shared.result()
        except Unavailable:
            return Reason.STORE_DOWN
        except KeyrackError as error:
            log.error("key %s is refused: %s", key_id, error.detail)
            return Reason.STORE_DOWN
        return None

    def _read(self, key_id: str) -> Brought:
        for _ in range(ATTEMPTS):
            brought = self._follower.replica.bring(key_id, self._keys)
            if brought is not Brought.OUTRUN:
                return brought
            # The store may be ahead of the replica: then only the log says what holds for this key.
            self._follower.poll()
        raise Unavailable("The key changed each time it was read.")
