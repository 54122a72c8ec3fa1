"""What the log says of rotations, told to people: each event once, by one process, also after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keyrack.core.events import Event, EventKind, Head, open_known
from keyrack.core.model import VersionState
from keyrack.core.upstream import Upstream
from keyrack.gateway.monitoring import alerts
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.stores.follower import Follower
from keyrack.stores.opened import Stores
from keyrack.stores.outbox import Notice
from keyrack.stores.protocols import Excerpt

PAGE = 100
REMEMBERED_EVERY = 1_000
"""After so many events without anything to tell, it is remembered that they were looked at."""
_KINDS: Mapping[EventKind, SignalKind] = {
    EventKind.ROTATION_STARTED: SignalKind.ROTATION_STARTED,
    EventKind.ROTATION_PROMOTED: SignalKind.ROTATION_PROMOTED,
    EventKind.ROTATION_ABORTED: SignalKind.ROTATION_ABORTED,
    EventKind.ROTATION_UNDONE: SignalKind.ROTATION_UNDONE,
    EventKind.UPSTREAM_ROTATION_STARTED: SignalKind.ROTATION_STARTED,
    EventKind.UPSTREAM_PROMOTED: SignalKind.ROTATION_PROMOTED,
    EventKind.UPSTREAM_ABORTED: SignalKind.ROTATION_ABORTED,
    EventKind.UPSTREAM_UNDONE: SignalKind.ROTATION_UNDONE,
    EventKind.UPSTREAM_CLEANED_UP: SignalKind.ROTATION_CLEANED_UP,
}


class Announcer:
    """Follows the log behind a replica, and tells what people are to hear of."""

    def __init__(self, stores: Stores, follower: Follower, signals: Signals):
        self._stores = stores
        self._follower = follower
        self._signals = signals
        self._told_to: int | None = None
        self._remembered = 0

    def begin(self) -> None:
        """Go on where the last process stopped, or at the present end of the log. Raises Unavailable."""
        head = self._follower.replica.head.number
        told_to = self._stores.gateway.outbox.told_to()
        # A store that came back from a backup has fewer events than were told.
        self._told_to = head if told_to is None else min(told_to, head)
        self._remember(self._told_to)

    def announce(self) -> None:
        """Tell what the replica has seen since. Raises Unavailable."""
        if self._told_to is None:
            self.begin()
        while self._told_to is not None and self._told_to < self._follower.replica.head.number:
            self._tell_page(self._told_to)

    def _tell_page(self, after: int) -> None:
        most = min(PAGE, self._follower.replica.head.number - after)
        entries = self._stores.keys.entries(Excerpt(after=after, most=most))
        opened = [open_known(entry, self._stores.peppers) for entry in entries]
        signals = [signal for event, head in opened for signal in self._signals_of(event, head)]
        for signal in signals:
            self._signals.tell(signal)
        for rotated in filter(None, (_rotated(event) for event, _ in opened)):
            self._stores.gateway.outbox.remind(rotated)
        self._told_to = after + most
        if signals or self._told_to - self._remembered >= REMEMBERED_EVERY:
            # First what was told, then how far: a process that dies between the two tells nothing twice.
            self._signals.flush()
            self._remember(self._told_to)

    def _remember(self, number: int) -> None:
        self._stores.gateway.outbox.tell_to(number)
        self._remembered = number

    def _signals_of(self, event: Event, head: Head) -> Iterator[Signal]:
        kind, subject = _KINDS.get(event.kind), event.subject
        if kind is None or subject is None or event.tenant is None:
            return
        upstream = self._follower.replica.upstreams.get(subject)
        if event.kind is EventKind.UPSTREAM_CLEANED_UP and upstream is not None:
            yield from _expired(upstream)
        data = {"event": event.number, "actor": event.actor}
        name = subject if upstream is None else upstream.name
        # With its hash: a store that came back from a backup gives a number twice.
        once = f"{event.number}/{head.hash.hex()[:16]}"
        yield Signal(kind, event.tenant, name, data, once, event.at.timestamp())


def _expired(upstream: Upstream) -> Iterator[Signal]:
    """The end of grace, should nobody have looked between it and the clean-up."""
    retired = [one for one in upstream.versions if one.state is VersionState.RETIRED and one.not_after]
    last = max(retired, key=lambda one: one.not_after or upstream.created_at, default=None)
    if last is not None:
        yield alerts.grace_expired(upstream, last)


def _rotated(event: Event) -> Notice | None:
    """Which key of ours has two secrets from this event on: `key_rotations` looks after it."""
    begins = event.kind in (EventKind.ROTATION_STARTED, EventKind.ROTATION_UNDONE)
    return Notice(event.subject, event.at.timestamp()) if begins and event.subject else None
