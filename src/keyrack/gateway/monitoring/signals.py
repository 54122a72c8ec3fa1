"""What the gateway tells people and their systems: a log line, a count and a message to each webhook.

Each is told once, by one process: it is claimed in the store first. Telling is cheap; claiming is done
behind (keyrack.gateway.monitoring.chores), so a store that is down delays what is told and loses none of it.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from keyrack.stores.opened import Stores
from keyrack.stores.outbox import Delivery, Notice

MAX_WAITING = 10_000
"""Beyond so many that could not be claimed, the oldest are dropped."""
MAX_REMEMBERED = 10_000
"""How many ids are remembered here as claimed by somebody, so that they are not asked for again."""
HOUR_SECONDS = 3600

log = logging.getLogger("keyrack.signals")


class SignalKind(StrEnum):
    """What can be told: the events of UG-30, the alerts of UG-31, and that of UG-15."""

    ROTATION_STARTED = "rotation.started"
    GRACE_EXPIRED = "rotation.grace_expired"
    OLD_KEY_USED = "rotation.old_key_used"
    OLD_KEY_REJECTED = "rotation.old_key_rejected"
    ROTATION_PROMOTED = "rotation.promoted"
    ROTATION_ABORTED = "rotation.aborted"
    ROTATION_UNDONE = "rotation.undone"
    ROTATION_CLEANED_UP = "rotation.cleaned_up"
    FALLBACK = "rotation.fallback"
    UPSTREAM_KEY_UNAVAILABLE = "upstream_key.unavailable"
    UPSTREAM_KEY_ECHOED = "upstream_key.echoed"
    CREDITS_EXHAUSTED = "credits.exhausted"
    ALERT_OLD_KEY_LATE_USE = "alert.old_key_late_use"
    ALERT_OLD_KEY_REJECTED = "alert.old_key_rejected"
    ALERT_OLD_KEY_NOT_FALLING = "alert.old_key_not_falling"
    ALERT_NEW_KEY_REFUSED = "alert.new_key_refused"
    ALERT_ROTATION_NOT_CLEANED = "alert.rotation_not_cleaned"
    ALERT_UNREADABLE_END = "alert.unreadable_end"


_LEVELS: Mapping[SignalKind, int] = {
    SignalKind.OLD_KEY_USED: logging.DEBUG,
    SignalKind.OLD_KEY_REJECTED: logging.WARNING,
    SignalKind.FALLBACK: logging.WARNING,
    SignalKind.UPSTREAM_KEY_UNAVAILABLE: logging.ERROR,
    SignalKind.UPSTREAM_KEY_ECHOED: logging.ERROR,
    **{kind: logging.WARNING for kind in SignalKind if kind.startswith("alert.")},
}


@dataclass(frozen=True, slots=True)
class Signal:
    """Something to tell. `data` holds names, numbers and times, never a secret."""

    kind: SignalKind
    tenant: str
    subject: str
    """The group, or the id of the key, that it is about."""
    data: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None
    """What it is told once for, within kind, tenant and subject; None is the hour in which it is told."""
    at: float | None = None
    """When it happened, in Unix seconds; None is when it is told."""

    @property
    def level(self) -> int:
        """The level of its log line."""
        return _LEVELS.get(self.kind, logging.INFO)


class Addressing(Protocol):
    """Who knows which webhooks want what: keyrack.gateway.monitoring.webhooks."""

    def deliveries(self, signal: Signal, notice: Notice) -> Iterable[Delivery]:
        """What is owed for a signal."""


class Signals:
    """Takes signals from anywhere in the process and tells those that nobody told before."""

    def __init__(self, stores: Stores, webhooks: Addressing | None = None):
        self._outbox = stores.gateway.outbox
        self._clock = stores.clock
        self._webhooks = webhooks
        self._waiting: deque[tuple[Signal, Notice]] = deque(maxlen=MAX_WAITING)
        self._claimed: set[str] = set()
        self._turn = threading.Lock()
        self.totals: Counter[str] = Counter()
        """Signals by kind that this process has told since the start, for metrics."""

    def tell(self, signal: Signal) -> None:
        """Have this told. Waits for nothing."""
        now = self._clock()
        once = signal.once if signal.once is not None else f"hour/{int(now // HOUR_SECONDS)}"
        notice = Notice(f"{signal.kind}/{signal.tenant}/{signal.subject}/{once}", now)
        if notice.id not in self._claimed:
            self._waiting.append((signal, notice))

    def flush(self) -> None:
        """Tell what waits and was not told by anybody. Raises Unavailable, and keeps it, when that cannot
        be known."""
        with self._turn:
            waiting = self._first_of_each()
            new = self._claim(list(waiting.values()))
            for signal, notice in waiting.values():
                if notice.id in new:
                    self._say(signal, notice)
            self._forget(waiting)

    def _first_of_each(self) -> dict[str, tuple[Signal, Notice]]:
        waiting: dict[str, tuple[Signal, Notice]] = {}
        for signal, notice in self._waiting.copy():
            waiting.setdefault(notice.id, (signal, notice))
        return waiting

    def _claim(self, waiting: Sequence[tuple[Signal, Notice]]) -> frozenset[str]:
        if not waiting:
            return frozenset()
        owed = [(notice.id, one) for signal, notice in waiting for one in self._owed(signal, notice)]
        return self._outbox.claim([notice for _, notice in waiting], owed)

    def _owed(self, signal: Signal, notice: Notice) -> Iterable[Delivery]:
        return () if self._webhooks is None else self._webhooks.deliveries(signal, notice)

    def _say(self, signal: Signal, notice: Notice) -> None:
        self.totals[signal.kind.value] += 1
        log.log(signal.level, signal.kind.value, extra={"signal": content(signal, notice)})

    def _forget(self, claimed: Iterable[str]) -> None:
        if len(self._claimed) > MAX_REMEMBERED:
            self._claimed.clear()
        self._claimed.update(claimed)
        while self._waiting and self._waiting[0][1].id in self._claimed:
            self._waiting.popleft()


def content(signal: Signal, notice: Notice) -> dict[str, Any]:
    """A signal as it is written into a log line and into a message."""
    happened_at = notice.at if signal.at is None else signal.at
    at = datetime.fromtimestamp(happened_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"at": at, "tenant": signal.tenant, "subject": signal.subject, **signal.data}
