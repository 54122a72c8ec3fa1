"""What is to be told of rotations of our own keys while they last: that an old secret is used, and its end.

Which keys those are is remembered in the store from the event that began it (`announcing`).
"""

from __future__ import annotations

from collections.abc import Iterator

from keyrack.core.model import Key, VersionState
from keyrack.core.records import write_time
from keyrack.gateway.monitoring.signals import HOUR_SECONDS, Signal, SignalKind, Signals
from keyrack.stores.journal import Use
from keyrack.stores.opened import Stores
from keyrack.stores.outbox import Notice
from keyrack.stores.protocols import Kind
from keyrack.stores.sealing import open_key


class KeyRotations:
    """Looks at each key that is being rotated, until the last of its old secrets has ended."""

    def __init__(self, stores: Stores, signals: Signals):
        self._stores = stores
        self._signals = signals

    def judge(self) -> None:
        """Tell what is to be told by now. Raises Unavailable."""
        outbox, now = self._stores.gateway.outbox, self._stores.clock()
        remembered = outbox.reminders()
        uses = self._stores.journal.uses([one.id for one in remembered]) if remembered else {}
        for one in remembered:
            key = self._key(one.id)
            for signal in () if key is None else judged(key, one, list(uses.values()), now):
                self._signals.tell(signal)
            if key is None or not _lasts(key, now):
                # First what is told: a process that dies between the two tells nothing twice.
                self._signals.flush()
                outbox.let_go(one.id)

    def _key(self, key_id: str) -> Key | None:
        record = self._stores.keys.record(Kind.KEY, key_id)
        return None if record is None else open_key(record, self._stores.peppers)


def judged(key: Key, rotation: Notice, uses: list[Use], now: float) -> Iterator[Signal]:
    """Everything that is to be told of a rotation that began at the time of the notice."""
    used_at = {use.number: use.last_at for use in uses if use.key_id == key.id}
    for old in key.versions:
        ends_at = None if old.not_after is None else old.not_after.timestamp()
        if old.state is not VersionState.LIVE or ends_at is None or ends_at < rotation.at:
            continue
        data = {"version": old.number}
        last_at = used_at.get(old.number, 0.0)
        if last_at >= rotation.at:
            hour = int((last_at - rotation.at) // HOUR_SECONDS)
            once = f"{old.number}/{rotation.at:.0f}/{hour}"
            yield Signal(SignalKind.OLD_KEY_USED, key.tenant, key.id, data, once, last_at)
        if now >= ends_at and old.not_after is not None:
            once = f"{old.number}/{write_time(old.not_after)}"
            yield Signal(SignalKind.GRACE_EXPIRED, key.tenant, key.id, data, once, ends_at)


def _lasts(key: Key, now: float) -> bool:
    """Whether an old secret is still to end."""
    ends = [one.not_after for one in key.versions if one.state is VersionState.LIVE and one.not_after]
    return any(now < end.timestamp() for end in ends)
