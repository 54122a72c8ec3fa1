"""What a server does in the background for its gateway: one thread, and every process has one.

Each job may be done by any number of processes at once: whatever it changes is guarded in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from keyrack.chores import Chore, ChoreThread, finish
from keyrack.core.upstream import Upstream
from keyrack.gateway.admin.leftovers import Leftovers
from keyrack.gateway.admin.tidying import tidy
from keyrack.gateway.monitoring.alerts import judged
from keyrack.gateway.monitoring.announcing import Announcer
from keyrack.gateway.monitoring.key_rotations import KeyRotations
from keyrack.gateway.monitoring.rollouts import Rollouts
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.verifier import Verifier

LOOK_SECONDS = 0.1
"""How often it is looked whether something is due."""
REFRESH_SECONDS = 0.5
STEP_SECONDS = 1.0
JUDGE_SECONDS = 5.0
KEYS_SECONDS = 30.0
FORGET_SECONDS = 3600.0
SETTLED = timedelta(seconds=10)
"""How long after its end a rotation is cleaned up, so that what was sent last is counted and told before."""
KEPT_SECONDS = 40 * 24 * 3600
"""How long hours, notices and deliveries are kept."""


class Chores:
    """The jobs of one process. `start` runs them in a thread until `stop`; `do` does all of them once."""

    def __init__(self, verifier: Verifier, monitoring: Monitoring):
        self._stores = verifier.stores
        self._follower = verifier.follower
        self._monitoring = monitoring
        self._announcer = Announcer(verifier.stores, verifier.follower, monitoring.signals)
        self._rollouts = Rollouts(verifier.stores, monitoring.tally, monitoring.signals)
        self._keys = KeyRotations(verifier.stores, monitoring.signals)
        self._leftovers = Leftovers(verifier.stores, verifier.follower)
        self.jobs = (
            Chore("what was sent cannot be counted", self.count, REFRESH_SECONDS),
            Chore("breakers of other processes cannot be read", self.read_breakers, REFRESH_SECONDS),
            Chore("the log cannot be looked at for rotations", self._announcer.announce, STEP_SECONDS),
            Chore("rotations cannot be moved on", self.move_on, STEP_SECONDS),
            Chore("rotations cannot be judged", self.judge, JUDGE_SECONDS),
            Chore("rotations of keys cannot be judged", self._keys.judge, KEYS_SECONDS),
            Chore("rotations cannot be cleaned up", self.tidy, STEP_SECONDS),
            Chore("what deleted groups left cannot be removed", self._leftovers.clear, STEP_SECONDS),
            Chore("credits of lost requests cannot be given back", self.lapse, STEP_SECONDS),
            Chore("signals cannot be told", monitoring.signals.flush, REFRESH_SECONDS),
            Chore("old counts cannot be dropped", self.forget, FORGET_SECONDS),
        )
        self._thread = ChoreThread("keyrack-gateway", self.jobs, every=LOOK_SECONDS)

    def start(self) -> None:
        """Run until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and write what was counted."""
        self._thread.stop()
        finish(self._monitoring.tally.flush, self._monitoring.signals.flush)

    def count(self) -> None:
        """Write what was sent, and read what all have sent."""
        self._monitoring.tally.flush()
        self._monitoring.tally.refresh([upstream.id for upstream in self._rotating()])

    def read_breakers(self) -> None:
        """Learn which servers fail, where there is anything to be sent."""
        if self._follower.replica.apis:
            self._monitoring.breakers.refresh()

    def move_on(self) -> None:
        """Take the steps of roll-outs that are due."""
        for upstream in self._rotating():
            self._rollouts.advance(upstream)

    def judge(self) -> None:
        """Tell what is to be told of rotations by now."""
        rotating, now = list(self._rotating()), self._stores.clock()
        if not rotating:
            return
        uses = self._monitoring.tally.uses_of(rotating)
        for upstream in rotating:
            for signal in judged(upstream, uses[upstream.id], now):
                self._monitoring.signals.tell(signal)

    def tidy(self) -> None:
        """Clean up rotations that ran out."""
        now = datetime.fromtimestamp(self._stores.clock(), UTC)
        tidy(self._stores, self._follower.replica, now, settled=SETTLED)

    def lapse(self) -> None:
        """End reservations that nobody carries any more."""
        if self._stores.balances is not None and self._follower.replica.upstreams:
            self._stores.balances.lapse(self._stores.clock())

    def forget(self) -> None:
        """Drop what is too old to be of use."""
        long_ago = self._stores.clock() - KEPT_SECONDS
        self._stores.gateway.sends.forget(long_ago)
        self._stores.gateway.outbox.forget(long_ago)

    def _rotating(self) -> Iterator[Upstream]:
        upstreams = list(self._follower.replica.upstreams.values())
        return (one for one in upstreams if one.rollout is not None and one.deleted_at is None)
