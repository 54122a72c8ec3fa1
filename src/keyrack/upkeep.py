"""The two threads of a Verifier: one follows the log and says that this node lives; the other writes notes.

They are two since writing may take long, and a revocation must not wait for it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import weakref

from keyrack.chores import Chore, ChoreThread, Telling, finish
from keyrack.core.errors import KeyrackError, Unavailable
from keyrack.idempotency import REMEMBERED_SECONDS
from keyrack.redigesting import Redigests
from keyrack.spending import Spender
from keyrack.stores.follower import Follower, steady
from keyrack.stores.journal import Node, Notebook
from keyrack.stores.nodes import wait_until_passed
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Pushing

LOOK_SECONDS = 0.05
"""How often a store that answers without waiting is asked whether there is news."""
HEAR_SECONDS = 0.02
"""How often a store that announces news is listened to."""
RENEW_SECONDS = 0.5
FLUSH_SECONDS = 1.0
CHORES_LOOK_SECONDS = 0.25
FORGET_SECONDS = 3600.0
FAULT_SECONDS = 1.0
"""How long to pause after a fault of ours, which would only fail again."""
SETTLE_SECONDS = 1.0
"""How long a change waits at most for the other nodes when its caller did not ask to wait."""

log = logging.getLogger("keyrack.upkeep")
_running: weakref.WeakSet[Upkeep] = weakref.WeakSet()


class Upkeep:
    """Keeps a node going between decisions. `start` loads; `stop` flushes."""

    def __init__(
        self,
        stores: Stores,
        follower: Follower,
        notebook: Notebook,
        spender: Spender,
        redigests: Redigests,
        *,
        poll: float,
    ):
        self._stores = stores
        self._follower = follower
        self._notebook = notebook
        self._spender = spender
        self._redigests = redigests
        self._poll = poll
        self._node_id = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keyrack-upkeep", daemon=True)
        self._following = Telling("the replica is not confirmed")
        self._announcing = threading.Lock()
        self._renewal = Chore("this node cannot say that it lives", self._renew, min(poll, RENEW_SECONDS))
        chores = (
            Chore("notes cannot be written", self._flush, FLUSH_SECONDS),
            Chore("failures cannot be counted with those of other nodes", self._share, FLUSH_SECONDS),
            Chore("marks cannot be dropped", self._forget, FORGET_SECONDS),
            Chore("digests cannot be renewed", self._redigest, FLUSH_SECONDS),
        )
        self._writing = ChoreThread("keyrack-writing", chores, every=CHORES_LOOK_SECONDS)

    def start(self) -> None:
        """Register this node, load the replica, and start the threads."""
        self._renew()
        try:
            self._follower.load()
        except KeyrackError:
            # Nobody may wait for a node that decides nothing.
            self._retire()
            raise
        self._renew()
        _running.add(self)
        self._thread.start()
        self._writing.start()

    def stop(self) -> None:
        """End the threads, write what was noted, and say that this node decides nothing more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._writing.stop()
        _running.discard(self)
        # From here on no change waits for this node.
        self._follower.abandon("This Verifier was closed.")
        finish(self._retire, self._flush, self._redigest)

    def spread(self, number: int, wait: bool) -> None:
        """Bring a commit of this process to its replica, and wait for the other nodes.

        Raises Unavailable when it was to wait and this node stops meanwhile.
        """
        committed_at = steady()
        # The store's, not our own: the others may be told less, and so may we.
        max_stale = self._follower.max_stale_anywhere
        self._follower.poll()
        try:
            self._renew()
            passed = wait_until_passed(
                self._stores.journal,
                number,
                committed_at=committed_at,
                max_stale=max_stale,
                within=max_stale if wait else min(SETTLE_SECONDS, max_stale),
                stop=self._ending,
            )
        except Unavailable:
            passed = False
        if wait and not passed and self._ending.wait(max(0.0, committed_at + max_stale - steady())):
            raise Unavailable(
                "The change was made, but this node stopped before every other one had seen it."
            )

    def orphan(self) -> None:
        """After a fork the threads are not there any more, so the child decides nothing."""
        self._follower.abandon("This process was forked; open the Verifier after the fork.")

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                if self._rest():
                    self._beat()
            except Exception:  # the edge of a thread: a fault here must not stop following
                log.exception("upkeep failed")
                self._ending.wait(FAULT_SECONDS)

    def _rest(self) -> bool:
        """Wait until the store is to be asked for news; False when this node ends."""
        keys = self._stores.keys
        if not isinstance(keys, Pushing):
            return not self._ending.wait(self._poll if keys.blocks else min(self._poll, LOOK_SECONDS))
        due_at = steady() + self._poll
        while not self._ending.wait(min(self._poll, HEAR_SECONDS)):
            if keys.pushed() or steady() >= due_at:
                return True
        return False

    def _beat(self) -> None:
        # A node that cannot say that it lives must not confirm: nobody would wait for it.
        if self._renewal.attempt():
            self._follow()
        else:
            self._follower.leave_unconfirmed(self._renewal.trouble)

    def _follow(self) -> None:
        before = self._follower.replica.head
        self._follower.poll()
        self._following.tell(self._follower.trouble)
        if self._follower.replica.head is not before:
            self._renewal.hurry()
            self._renewal.attempt()

    def _renew(self) -> None:
        # One after the other, so that what stands in the journal is never older than what we go by.
        with self._announcing:
            head, now = self._follower.replica.head, steady()
            self._stores.journal.renew(Node(self._node_id, head.number, head.hash, now))
            self._follower.announced_at = now

    def _retire(self) -> None:
        self._stores.journal.retire(self._node_id)

    def _flush(self) -> None:
        self._notebook.flush(self._stores.journal)

    def _share(self) -> None:
        self._spender.share_failures(self._stores.clock())

    def _forget(self) -> None:
        self._stores.keys.forget_marks(self._stores.clock() - REMEMBERED_SECONDS)

    def _redigest(self) -> None:
        self._redigests.write(self._stores)


def _orphan_all() -> None:
    for upkeep in list(_running):
        upkeep.orphan()


os.register_at_fork(after_in_child=_orphan_all)
