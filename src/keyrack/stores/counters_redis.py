"""Counters in Redis or Valkey, shared by all machines that name the same server and database number.

One script, counters_redis.lua, does all limits of a request in one step. It is the one place beside
keyrack.core.window that knows the window: read, decide and write-if-unchanged from here would take two
turns on the network, and under contention end in a refusal for which no limit is the reason.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import files
from itertools import chain
from math import ceil

from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TimedOut

from keyrack.core.errors import Unavailable
from keyrack.core.model import Rate
from keyrack.core.window import LATE_TICKS, TICKS, grain_ticks, ticks, window_ticks
from keyrack.stores.charging import Reach, Spend, Taken, answered, require_costs
from keyrack.stores.redis_connection import connect

REST_SECONDS = 0.5
"""How long calls fail at once after one that got no answer, so that they do not all wait for their own."""
PREFIX = "keyrack:1:"
"""Before each bucket; the number is the format of the states."""

Row = tuple[int, int, int]
"""Of one spend: ticks until it would fit, units left, and the tick at which the oldest unit leaves."""

_SCRIPT = files("keyrack.stores").joinpath("counters_redis.lua").read_text(encoding="utf-8")


class RedisCounters:
    """Counters on the server that a `redis://` or `rediss://` url names.

    Nothing is connected before the first call. Buckets expire by themselves, so their number is bounded
    by the server's memory alone: with `maxmemory-policy noeviction` it refuses what it has no room for,
    and calls raise Unavailable. A call that got no answer may have been counted; what it took leaves
    with its window.
    """

    blocks = True
    reach: Reach = "everywhere"

    def __init__(self, url: str):
        self._redis = connect(url, "KEYRACK_COUNTERS")
        self._script = self._redis.register_script(_SCRIPT)
        self._rests_until = 0.0

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        return _taken(spends, self._run("take", spends, now))

    def peek(self, spends: Sequence[Spend], now: float) -> Taken:
        return _taken(spends, self._run("peek", spends, now))

    def add(self, spends: Sequence[Spend], now: float) -> tuple[Rate, ...]:
        return _rates(spends, self._run("add", spends, now))

    def give_back(self, spends: Sequence[Spend], now: float) -> None:
        self._run("give_back", spends, now)

    def close(self) -> None:
        self._redis.close()

    def _run(self, operation: str, spends: Sequence[Spend], now: float) -> Sequence[Row]:
        require_costs(spends)
        if time.monotonic() < self._rests_until:
            raise Unavailable("The counters did not answer a moment ago.")
        keys = [PREFIX + spend.bucket for spend in spends]
        numbers = chain.from_iterable(map(_numbers, spends))
        try:
            rows: Sequence[Row] = self._script(keys, [operation, ticks(now), LATE_TICKS, *numbers])
        except (NotConnected, TimedOut) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise Unavailable("The counters do not answer.") from error
        except RedisError as error:
            raise Unavailable("The counters cannot be read or written.") from error
        return rows


def _numbers(spend: Spend) -> tuple[int, ...]:
    limit = spend.limit
    return limit.limit, window_ticks(limit), grain_ticks(limit), spend.cost


def _taken(spends: Sequence[Spend], rows: Sequence[Row]) -> Taken:
    return answered(_rates(spends, rows), [ceil(wait / TICKS) for wait, _, _ in rows])


def _rates(spends: Sequence[Spend], rows: Sequence[Row]) -> tuple[Rate, ...]:
    return tuple(_rate(spend, row) for spend, row in zip(spends, rows, strict=True))


def _rate(spend: Spend, row: Row) -> Rate:
    _, remaining, reset_at = row
    return Rate(spend.limit.name, spend.limit.limit, spend.limit.window_seconds, remaining, reset_at / TICKS)
