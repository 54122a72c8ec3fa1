"""How a new version is brought in without anybody acting: step by step under the plan `gradual`, and not
at all while the upstream does not know it.

Any number of processes may do this: each change is decided again inside its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from keyrack.core.authority import Authority
from keyrack.core.events import EventKind
from keyrack.core.rotation import rotating
from keyrack.core.upstream import Plan, Rollout, SendPolicy, Upstream
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.edit import Edit
from keyrack.gateway.admin.tidying import NOTHING_OPENED, TIDIER
from keyrack.gateway.monitoring import alerts
from keyrack.gateway.monitoring.signals import Signals
from keyrack.gateway.monitoring.tally import FIRST_SENDS, Tally
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.sends import VersionUse

REFUSERS_NEEDED = 3
"""From so many keys, or owners where a send names no key, the first refusals have to come."""
CALM = timedelta(hours=1)
"""A step waits until the new version was refused for the last time so long ago."""


class Step(NamedTuple):
    """A share of requests, in percent, and how long after the start it is due."""

    percent: int
    after: timedelta


STEPS = (
    Step(1, timedelta(0)),
    Step(25, timedelta(days=1)),
    Step(50, timedelta(days=3)),
    Step(100, timedelta(days=5)),
)
"""Those of the plan `gradual`."""

Change = Callable[[Upstream, datetime], Upstream | None]
"""What becomes of an upstream; None when nothing is to be changed."""


class Rollouts:
    """Moves rotations on by what was counted of them."""

    def __init__(self, stores: Stores, tally: Tally, signals: Signals):
        self._stores = stores
        self._tally = tally
        self._signals = signals

    def advance(self, upstream: Upstream) -> None:
        """Take the step that is due, or hold the new version back. Raises Unavailable."""
        rollout, now = upstream.rollout, self._now()
        if rollout is None or _is_over(upstream, rollout, now):
            return
        use = self._tally.known(upstream.id, upstream.versions[-1].number)
        # Told again by whoever sees it, should the process that held it back have died before it could.
        if rollout.held_at is not None or (use is not None and self._is_unknown(use)):
            self._hold(upstream, rollout)
        if (percent := due(upstream, now)) is not None and _is_calm(use, now):
            self._change(upstream, rollout, stepped, {"rollout_percent": percent})

    def _is_unknown(self, use: VersionUse) -> bool:
        """Whether the first sends of a version were all refused, and not to one caller alone."""
        if use.leading < FIRST_SENDS:
            return False
        return self._stores.gateway.sends.refusers(use.upstream, use.number) >= REFUSERS_NEEDED

    def _hold(self, upstream: Upstream, rollout: Rollout) -> None:
        if rollout.plan is not Plan.EMERGENCY and rollout.held_at is None:
            self._change(upstream, rollout, held, {"policy": SendPolicy.HOLD_OLD})
        self._signals.tell(alerts.new_key_refused(upstream, rollout, alerts.REFUSED_FIRST))

    def _change(self, upstream: Upstream, rollout: Rollout, change: Change, data: Mapping[str, Any]) -> None:
        """Commit a change of this rotation, unless it is over or somebody has made the change."""
        now = self._now()

        def changed(draft: Draft) -> None:
            found = draft.upstream(upstream.id)
            after = None if found is None or _is_over(found, rollout, now) else change(found, now)
            if after is not None:
                edit = Edit(draft, NOTHING_OPENED, Authority.service(TIDIER, ()), now)
                edit.write(after, EventKind.UPSTREAM_ROTATION_CHANGED, data)

        self._stores.ledger.commit(changed)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def due(upstream: Upstream, now: datetime) -> int | None:
    """The share that the plan states by now, unless it was reached, or somebody stated one since."""
    rollout = upstream.rollout
    if rollout is None or rollout.plan is not Plan.GRADUAL or rollout.percent is None:
        return None
    step = [one for one in STEPS if rollout.started_at + one.after <= now][-1]
    stated_at = rollout.stepped_at or rollout.started_at
    is_due = rollout.percent < step.percent and stated_at < rollout.started_at + step.after
    return step.percent if is_due else None


def stepped(upstream: Upstream, now: datetime) -> Upstream | None:
    """The upstream after the step that is due; None when none is."""
    percent = due(upstream, now)
    return None if percent is None else rotations.stepped(upstream, percent, now=now)


def held(upstream: Upstream, now: datetime) -> Upstream | None:
    """The upstream with the old version preferred until somebody states a share; once in a rotation."""
    if upstream.rollout is None or upstream.rollout.held_at is not None:
        return None
    after = rotations.held(upstream, now=now)
    return replace(after, rollout=after.rollout and replace(after.rollout, held_at=now))


def _is_over(upstream: Upstream, rollout: Rollout, now: datetime) -> bool:
    is_other = upstream.rollout is None or upstream.rollout.id != rollout.id
    return is_other or upstream.deleted_at is not None or not rotating(upstream.versions, now)


def _is_calm(use: VersionUse | None, now: datetime) -> bool:
    """Whether the version was not refused for a while."""
    return use is None or use.refused_at is None or now.timestamp() - use.refused_at >= CALM.total_seconds()
