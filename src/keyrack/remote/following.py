"""Follows the feed of a server, and knows how old what was heard of it is.

The age is our own plus the server's: what an answer says was true when it was written, not when it
came, so it counts from when the question was sent, plus what the server held it back, minus its age.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from keyrack.chores import Telling
from keyrack.client import Client
from keyrack.client.errors import CallRefused, RateLimited
from keyrack.core.errors import ConfigurationError, KeyrackError
from keyrack.core.model import Reason
from keyrack.core.records import read_time
from keyrack.remote.known import Known
from keyrack.stores.clock import StoreClock
from keyrack.stores.follower import DEFAULT_MAX_STALE, FOREVER, NEVER, steady
from keyrack.stores.opened import Clock

WAIT_SECONDS = 5.0
"""How long a question waits at the server for news; also how long a closed follower may linger."""
RETRY_SECONDS = 0.5
FAULT_SECONDS = 1.0
KEY = "KEYRACK_KEY"

log = logging.getLogger("keyrack.remote")


class Following:
    """One thread that asks for news again and again, and drops from Known what they are about."""

    def __init__(self, client: Client, known: Known, *, max_stale: float | None, clock: Clock = time.time):
        self._client = client
        self._known = known
        self._max_stale_here = FOREVER if max_stale is None else max_stale
        self._clock = StoreClock(clock)
        self._after: int | None = None
        self._hash: str | None = None
        self._doubt: Reason | None = None
        self._telling = Telling("the server is not followed")
        self._ending = threading.Event()
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keyrack-remote", daemon=True)
        self.node: str | None = secrets.token_hex(8)
        """By what the server knows this node, so that a revocation which waits, waits for it."""
        self.max_stale = min(self._max_stale_here, DEFAULT_MAX_STALE)
        """Seconds; the store's own, or less where this node was told less."""
        self.confirmed_at = NEVER
        """As of when everything that changed is known here, by `steady`."""
        self.foreign = False
        """Whether the server has keys of another form than ours."""
        self.trouble: str | None = None
        """One sentence on why the server is not followed, for operators."""

    def start(self) -> None:
        """Hear of the server once, and follow it from then on.

        Raises Unavailable, and ConfigurationError where it refuses the key.
        """
        try:
            self._hear(wait=0)
        except CallRefused as error:
            raise ConfigurationError(KEY, f"was refused by the server: {error.code}.") from None
        self._thread.start()

    def stop(self) -> None:
        """Decide nothing any more; the thread ends, and closes its connection, with its next answer."""
        self._ending.set()
        self._doubt = Reason.STORE_DOWN
        try:
            if self.node is not None:
                self._leave(self.node)
        finally:
            self._left.set()
        if not self._thread.ident:
            self._client.close()

    def abandon(self) -> None:
        """After a fork: the thread is not there, so nothing is decided."""
        self._doubt, self.trouble = Reason.STORE_DOWN, "This process was forked; open it after the fork."

    def age(self) -> float:
        """Seconds since everything that changed was known here; infinite before anything was."""
        return steady() - self.confirmed_at

    def doubt(self) -> Reason | None:
        """Why nothing may be decided at this moment, or None."""
        if self._doubt is not None:
            return self._doubt
        return None if self.age() <= self.max_stale else Reason.STALE

    def now(self) -> float:
        """Unix seconds by the server's clock, as far as ours is not close to it anyway."""
        return self._clock()

    def follow(self, *, wait: float = 0) -> bool:
        """Ask for news once; True when all is well. Trouble is kept, not raised."""
        try:
            self._hear(wait=wait)
        except RateLimited as error:
            self.trouble = f"{KEY} is limited to fewer calls than it takes to follow: {error.detail}"
        except CallRefused as error:
            self._doubt, self.trouble = Reason.UNCONFIGURED, f"{KEY} is refused by the server: {error.code}."
        except KeyrackError as error:
            self.trouble = error.detail
        else:
            self._doubt, self.trouble = None, None
        return self.trouble is None

    def _leave(self, node: str) -> None:
        try:
            self._client.leave_feed(node)
        except KeyrackError as error:
            log.warning("the server could not be told that this node leaves: %s", error.detail)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._beat()
        # The connection is shared with whoever says good-bye over it.
        self._left.wait()
        self._client.close()

    def _beat(self) -> None:
        pause = 0.0
        try:
            pause = 0.0 if self.follow(wait=min(WAIT_SECONDS, self.max_stale / 3)) else RETRY_SECONDS
        except Exception:  # the edge of a thread: a fault here must not stop following
            log.exception("following failed")
            pause = FAULT_SECONDS
        if self._ending.wait(pause):
            self._doubt = Reason.STORE_DOWN
            return
        self._telling.tell(self.trouble)

    def _hear(self, *, wait: float) -> None:
        sent, asked_at = steady(), self._clock.system()
        page = self._client.feed(after=self._after, hash=self._hash, wait=wait, node=self.node)
        if page["reset"]:
            log.warning("what was proved is not as the server has it now, and is asked for again")
        if page["reset"] or self._after is None:
            # Of what was before it, nothing will be told: another server of the store may not know it yet.
            self._known.forget(page["number"])
        else:
            self._known.apply(page["data"])
        self._after, self._hash = page["number"], page["hash"]
        self._take(page, asked_at + page["waited_seconds"])
        # A page that was cut confirms nothing yet: the rest of what changed is to follow.
        if page["number"] >= page["head"]:
            self.confirmed_at = sent + page["waited_seconds"] - page["age_seconds"]

    def _take(self, page: Mapping[str, Any], asked_at: float) -> None:
        """What holds for all that is known. Raises Unavailable where the two clocks are too far apart."""
        self.max_stale = min(self._max_stale_here, page["max_stale_seconds"])
        self.foreign = page["foreign"]
        self._clock.compare(read_time(page["now"]).timestamp(), asked_at=asked_at)
