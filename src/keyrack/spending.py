"""The last step of a decision: what passed is charged to its limits, what was refused to its address.

All limits of a request are taken in one step of Counters; a denied request keeps nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from keyrack.core.addresses import neighbourhood
from keyrack.core.checks import Charge
from keyrack.core.errors import Unavailable
from keyrack.core.model import Access, Address, Allowed, Decision, Denied, Limit, Rate, Reason
from keyrack.core.policy import Policy
from keyrack.core.window import LATE_TICKS, TICKS
from keyrack.stores.counters import Counters, MemoryCounters, Spend, Taken

FAILURES = frozenset(
    {Reason.MALFORMED, Reason.UNKNOWN, Reason.REVOKED, Reason.DISABLED, Reason.EXPIRED, Reason.RETIRED}
)
"""Refused credentials, which count against their address."""
UNPROVED = frozenset({Reason.MALFORMED, Reason.UNKNOWN})
"""Those that turn into 429 beyond the limit; whoever proved a key is told what is wrong with it."""
MAX_NEIGHBOURHOODS = 1_000
"""Few beside what Counters hold (keyrack.stores.charging.MAX_ENTRIES), where the limits of keys are counted
too: whoever has many addresses must not take the place of those who have keys."""
LATE_SECONDS = LATE_TICKS / TICKS
_OTHERS = "failures/others"


class Spender:
    """Charges decisions to Counters. `open_when_down` lets requests pass when Counters cannot be read."""

    def __init__(self, counters: Counters, policy: Policy, *, open_when_down: bool = False):
        self._counters = counters
        self._open_when_down = open_when_down
        self._lock = threading.Lock()
        self.uncounted = {"refused": 0, "passed": 0}
        """Requests since the start that Counters could not count, by what became of them, for metrics."""
        self._failures = Failures(policy.failure_limit) if policy.failure_limit else None

    def take(self, allowed: Allowed, charges: Sequence[Charge], access: Access, now: float) -> Decision:
        """Charge all limits of a request: the same decision, with what is left, or a refusal for `rate`."""
        spends = [Spend(charge.bucket, charge.limit, access.cost) for charge in charges]
        try:
            taken = self._counters.take(spends, now)
        except Unavailable:
            return self._take_nothing(allowed)
        if taken.ok:
            return allowed._replace(rates=taken.rates)
        return Denied(
            Reason.RATE,
            allowed.key,
            allowed.secret,
            rates=taken.rates,
            retry_after=taken.retry_after,
        )

    def refuse(
        self, denied: Denied, charges: Sequence[Charge], address: Address | None, now: float
    ) -> Denied:
        """Count a refused credential against its address: the same decision, or one for `rate`.

        What is refused for another reason is not counted, and only told what is left.
        """
        if self._failures is None:
            return denied._replace(rates=self._left(charges, now)) if charges else denied
        if denied.reason in FAILURES:
            return self._failures.count(denied, address, now)
        rates = self._left(charges, now) if charges else self._failures.left(address, now)
        return denied._replace(rates=rates)

    def charge(self, bucket: str, limits: Sequence[Limit], now: float) -> Taken:
        """Charge one unit to limits that are of no key. Raises Unavailable, whatever is set for keys."""
        return self._counters.take([Spend(f"own/{bucket}/{one.name}", one, 1) for one in limits], now)

    def share_failures(self, now: float) -> None:
        """Merge the failures counted here into Counters, and learn of those counted elsewhere."""
        if self._failures is not None:
            self._failures.share(self._counters, now)

    def _take_nothing(self, allowed: Allowed) -> Decision:
        with self._lock:
            self.uncounted["passed" if self._open_when_down else "refused"] += 1
        return allowed if self._open_when_down else Denied(Reason.STORE_DOWN, allowed.key, allowed.secret)

    def _left(self, charges: Sequence[Charge], now: float) -> tuple[Rate, ...]:
        try:
            return self._counters.peek([Spend(one.bucket, one.limit, 0) for one in charges], now).rates
        except Unavailable:
            return ()


class _Unshared(NamedTuple):
    """Failures of one bucket that the other processes do not know of."""

    times: int
    last_at: float


class Failures:
    """Refused credentials by client address, counted here at once and shared once a second.

    Bounded: beyond MAX_NEIGHBOURHOODS at a time, further ones share one bucket.
    """

    def __init__(self, limit: Limit):
        self._limit = limit
        self._here = MemoryCounters()
        self._lock = threading.Lock()
        self._counted_until: dict[str, float] = {}
        self._unshared: dict[str, _Unshared] = {}
        self._blocked_until: dict[str, float] = {}

    def count(self, denied: Denied, address: Address | None, now: float) -> Denied:
        """Charge one failure; beyond the limit an unproved one becomes a refusal for `rate`."""
        bucket, taken = self._charge(address, now)
        blocked_until = self._blocked_until.get(bucket, 0.0)
        if denied.reason not in UNPROVED or (taken.ok and now >= blocked_until):
            return denied._replace(rates=taken.rates)
        wait = max(taken.retry_after or 1, int(blocked_until - now) + 1)
        return Denied(Reason.RATE, rates=taken.rates, retry_after=wait)

    def left(self, address: Address | None, now: float) -> tuple[Rate, ...]:
        """How many failures an address may still have."""
        return self._here.peek([Spend(self._bucket(address), self._limit, 0)], now).rates

    def share(self, counters: Counters, now: float) -> None:
        """Add what was counted here to Counters, and block what is beyond the limit in all.

        Raises Unavailable; what was not added then is added the next time.
        """
        with self._lock:
            unshared, self._unshared = self._recent(now), {}
            self._blocked_until = _later(self._blocked_until, now)
            self._counted_until = _later(self._counted_until, now)
        try:
            for at, failed in _by_time(unshared, now).items():
                self._add(counters, failed, at)
                for bucket in failed:
                    del unshared[bucket]
        finally:
            self._keep(unshared)

    def _charge(self, address: Address | None, now: float) -> tuple[str, Taken]:
        with self._lock:
            bucket = self._bucket(address)
            self._counted_until[bucket] = now + self._limit.window_seconds + LATE_SECONDS
            taken = self._here.take([Spend(bucket, self._limit, 1)], now)
            if taken.ok:
                self._note(bucket, _Unshared(1, now))
        return bucket, taken

    def _note(self, bucket: str, more: _Unshared) -> None:
        known = self._unshared.get(bucket, _Unshared(0, more.last_at))
        self._unshared[bucket] = _Unshared(known.times + more.times, max(known.last_at, more.last_at))

    def _keep(self, unshared: dict[str, _Unshared]) -> None:
        with self._lock:
            for bucket, one in unshared.items():
                self._note(bucket, one)

    def _recent(self, now: float) -> dict[str, _Unshared]:
        """What has not left the window since."""
        window = self._limit.window_seconds
        return {bucket: one for bucket, one in self._unshared.items() if one.last_at + window > now}

    def _add(self, counters: Counters, failed: dict[str, int], at: float) -> None:
        rates = counters.add([Spend(bucket, self._limit, times) for bucket, times in failed.items()], at)
        for bucket, rate in zip(failed, rates, strict=True):
            if rate.remaining == 0:
                self._blocked_until[bucket] = rate.reset_at

    def _bucket(self, address: Address | None) -> str:
        bucket = f"failures/{neighbourhood(address)}"
        known = bucket in self._counted_until or len(self._counted_until) < MAX_NEIGHBOURHOODS
        return bucket if known else _OTHERS


def _later(times: dict[str, float], now: float) -> dict[str, float]:
    return {bucket: until for bucket, until in times.items() if until > now}


def _by_time(unshared: dict[str, _Unshared], now: float) -> dict[float, dict[str, int]]:
    """How much to add of each bucket, by the second in which it happened: added late, it blocks no longer.

    All of one second are added in one step, since a thousand turns on a slow network would keep their
    thread from following the log.
    """
    found: dict[float, dict[str, int]] = {}
    for bucket, (times, last_at) in unshared.items():
        at = min(max(float(ceil(last_at)), now - LATE_SECONDS), now)
        found.setdefault(at, {})[bucket] = times
    return found
