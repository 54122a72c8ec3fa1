"""What Counters in Redis must bear beyond the contract: equal answers, processes, and a server that goes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import eventually, soon
from servers.redis import RedisServer, running

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.model import Limit
from keyrack.core.window import Window
from keyrack.stores import counters_redis
from keyrack.stores.charging import Placed, Spend
from keyrack.stores.counters import Counters, MemoryCounters, open_counters
from keyrack.stores.counters_redis import RedisCounters
from keyrack.stores.redis_connection import WAIT_SECONDS

NOW = 1_700_000_000.0
LIMIT = Limit("shared", 500, 60)
ONE = [Spend("key/a", LIMIT, 1)]
SPAWN = multiprocessing.get_context("spawn")
LIMITS = [
    Limit("burst", 3, 1),
    Limit("minute", 10, 60),
    Limit("wide", 1_500, 60),
    Limit("long", 2_000, 31_622_400),
]
PASSWORD = "hunter2-hunter2-hunter2"


@pytest.fixture
def counters(redis_server: RedisServer) -> Iterator[RedisCounters]:
    opened = RedisCounters(redis_server.patient_url)
    yield opened
    opened.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may stop."""
    with running(tmp_path) as server:
        yield server


def left(counters: RedisCounters) -> int:
    return counters.peek(ONE, NOW).rates[0].remaining


class Step(NamedTuple):
    """One call, some seconds after the one before; `undo` gives back the last take that was granted."""

    operation: str
    spends: list[Spend]
    seconds: float


class Stored(MemoryCounters):
    """The same windows, written and read at every step, as every store but the process keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self._table: Any = _Dumped()


class _Dumped:
    max_entries = 1_000

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}

    def get(self, bucket: str) -> Window | None:
        state = self._states.get(bucket)
        return None if state is None else Window.load(state)

    def entries(self) -> int:
        return 0

    def keep(self, placed: Sequence[Placed]) -> None:
        self._states.update((one.spend.bucket, one.window.dump()) for one in placed)

    def prune(self, at: int) -> None:
        """Nothing goes stale here."""


COSTS = st.one_of(st.integers(0, 4), st.integers(0, 1_200))
SPENDS = st.lists(
    st.builds(Spend, st.sampled_from(["a", "b", "c"]), st.sampled_from(LIMITS), COSTS), max_size=3
)
SECONDS = st.one_of(
    st.just(0.0), st.floats(0, 0.7), st.floats(0, 45), st.floats(-59, 0), st.sampled_from([-4e7, 4e7, -90.0])
)
STEPS = st.lists(
    st.builds(
        Step, st.sampled_from(["take", "take", "take", "peek", "add", "undo", "undo some"]), SPENDS, SECONDS
    ),
    min_size=1,
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(STEPS)
def test_every_step_has_the_answer_that_it_has_in_memory(
    redis_server: RedisServer, steps: list[Step]
) -> None:
    redis_server.admin.flushall()
    counters, reference = RedisCounters(redis_server.patient_url), Stored()
    granted: list[tuple[list[Spend], float]] = [([], NOW)]
    now = NOW
    for step in steps:
        now += step.seconds
        spends, at = shaped(step.spends), now
        if step.operation == "undo":
            spends, at = granted[-1]
        elif step.operation == "undo some":
            at = granted[-1][1]
        expected = do(reference, step.operation, spends, at)
        assert do(counters, step.operation, spends, at) == expected
        if step.operation == "take" and expected.ok:
            granted.append((spends, at))
    counters.close()


def do(counters: Counters, operation: str, spends: Sequence[Spend], at: float) -> Any:
    method = "give_back" if operation.startswith("undo") else operation
    return getattr(counters, method)(spends, at)


def shaped(spends: Sequence[Spend]) -> list[Spend]:
    """In one request a bucket is counted under one limit; from one to the next that may be changed."""
    limits = {spend.bucket: spend.limit for spend in spends}
    return [spend._replace(limit=limits[spend.bucket]) for spend in spends]


def test_a_full_window_of_a_thousand_has_the_answers_that_it_has_in_memory(counters: RedisCounters) -> None:
    reference, limit = MemoryCounters(), Limit("full", 1_000, 60)
    for number in range(2_500):
        now, spends = NOW + number * 0.05, [Spend("key/a", limit, 1 + number % 3)]
        assert counters.take(spends, now) == reference.take(spends, now)


@pytest.mark.spec("CI-93", "CO-39", "LL-61")
def test_four_processes_together_get_exactly_the_limit(redis_server: RedisServer) -> None:
    granted = SPAWN.SimpleQueue()
    processes = [
        SPAWN.Process(target=take_many, args=(granted, redis_server.patient_url, 250)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sum(granted.get() for _ in processes) == 500


def take_many(granted: SimpleQueue[int], url: str, tries: int) -> None:
    counters = RedisCounters(url)
    granted.put(sum(counters.take(ONE, NOW).ok for _ in range(tries)))
    counters.close()


@pytest.mark.spec("CI-95")
def test_every_bucket_expires_a_minute_after_its_window(
    counters: RedisCounters, redis_server: RedisServer
) -> None:
    """A minute, since a caller may have read its clock that long before."""
    counters.take(ONE, NOW)
    counters.take([Spend("key/b", LIMIT, 2)], NOW + 5)
    counters.add([Spend("key/c", Limit("hour", 5_000, 3_600), 1)], NOW)
    counters.give_back([Spend("key/b", LIMIT, 1)], NOW + 5)
    found = {key.decode(): redis_server.admin.pttl(key) / 1000 for key in redis_server.admin.scan_iter()}
    expected = {"keyrack:1:key/a": 120, "keyrack:1:key/b": 120, "keyrack:1:key/c": 3_660}
    assert found.keys() == expected.keys()
    assert all(expected[key] - 10 < found[key] <= expected[key] + 36 for key in expected)


def test_what_was_given_back_whole_keeps_no_bucket(
    counters: RedisCounters, redis_server: RedisServer
) -> None:
    counters.take(ONE, NOW)
    counters.give_back(ONE, NOW)
    assert redis_server.admin.dbsize() == 0


def test_nothing_is_asked_of_redis_that_came_after_6_2_5(redis_server: RedisServer) -> None:
    redis_server.admin.script_flush()
    redis_server.admin.config_resetstat()
    counters = RedisCounters(redis_server.patient_url.replace("?", "/3?"))
    counters.take(ONE, NOW)
    counters.close()
    asked = {name.removeprefix("cmdstat_") for name in redis_server.admin.info("commandstats")}
    # `client`: how redis-py introduces itself; a server that does not know it is none the worse.
    assert asked - {"client", "config"} == {"evalsha", "script", "select", "get", "set"}


def test_a_url_names_a_server_and_nothing_is_connected_before_it_is_asked() -> None:
    for url in (
        "redis://nowhere.invalid:1",
        "rediss://nowhere.invalid/2",
        "redis://user:word@nowhere.invalid",
    ):
        opened = open_counters(url)
        assert isinstance(opened, RedisCounters)
        opened.close()


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host/0?socket_timeout=long"])
def test_a_url_that_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_counters(url)
    assert refused.value.setting == "KEYRACK_COUNTERS"
    assert "host" not in str(refused.value)


def test_the_password_is_used_and_never_shown(tmp_path: Path) -> None:
    with running(tmp_path, "--requirepass", PASSWORD) as server:
        where = f"127.0.0.1:{server.port}"
        counters = RedisCounters(f"redis://:{PASSWORD}@{where}?socket_timeout=60&socket_connect_timeout=60")
        assert counters.take(ONE, NOW).ok
        assert PASSWORD not in f"{counters!r} {counters._redis!r}"
        for url in (
            f"redis://{where}",
            f"redis://:wrong-{PASSWORD}@{where}",
            f"redis://:{PASSWORD}@127.0.0.1:1",
        ):
            assert PASSWORD not in whole(refusal(RedisCounters(url)))
        server.kill()
        assert PASSWORD not in whole(refusal(counters))
        counters.close()


def refusal(counters: RedisCounters) -> Unavailable:
    with pytest.raises(Unavailable) as refused:
        counters.take(ONE, NOW)
    counters.close()
    return refused.value


def whole(error: BaseException | None) -> str:
    """All texts of an error and of what it was raised from."""
    texts = []
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    return " ".join(texts)


def test_a_server_without_encryption_is_not_talked_to_where_encryption_is_asked_for(
    redis_server: RedisServer,
) -> None:
    refusal(RedisCounters(redis_server.url.replace("redis:", "rediss:")))
    assert redis_server.admin.dbsize() == 0


def test_a_server_that_was_killed_is_unavailable_and_counts_again_when_it_is_back(alone: RedisServer) -> None:
    counters = RedisCounters(alone.patient_url)
    counters.take(ONE, NOW)
    alone.kill()
    assert counters.blocks
    refusal(counters)
    alone.start()
    assert eventually(lambda: left_or_none(counters)) == 500, "what it held in memory is gone with it"
    assert counters.take(ONE, NOW).ok
    counters.close()


def left_or_none(counters: RedisCounters) -> int | None:
    """What is left, once that is not refused any more."""
    try:
        return left(counters)
    except Unavailable:
        return None


def test_a_server_that_does_not_answer_costs_a_quarter_second_and_then_for_a_while_nothing(
    alone: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters_redis, "REST_SECONDS", 3_600)

    def refused_in() -> float:
        with closing(RedisCounters(alone.url)) as counters:
            began = time.monotonic()
            with pytest.raises(Unavailable, match="do not answer"):
                counters.take(ONE, NOW)
            took = time.monotonic() - began
            for _ in range(100):
                with pytest.raises(Unavailable, match="a moment ago"):
                    counters.take(ONE, NOW)
        assert took >= WAIT_SECONDS
        return took

    with alone.paused():
        # A retry by the driver would take longer than this, and so would its own time limits.
        soon(refused_in, within=5)


def test_a_connection_that_the_server_closed_is_made_anew_without_a_refusal(
    counters: RedisCounters, redis_server: RedisServer
) -> None:
    counters.take(ONE, NOW)
    redis_server.admin.client_kill_filter(_type="normal", skipme=True)
    assert counters.take(ONE, NOW).rates[0].remaining == 498


def test_a_server_without_room_is_unavailable_and_forgets_nothing(alone: RedisServer) -> None:
    counters = RedisCounters(alone.patient_url)
    counters.take(ONE, NOW)
    alone.admin.config_set("maxmemory", 1)
    with pytest.raises(Unavailable):
        counters.take(ONE, NOW)
    alone.admin.config_set("maxmemory", 0)
    assert counters.take(ONE, NOW).rates[0].remaining == 498
    counters.close()


def test_a_damaged_window_is_unavailable_and_no_other(
    counters: RedisCounters, redis_server: RedisServer
) -> None:
    redis_server.admin.set("keyrack:1:key/a", b"\0")
    redis_server.admin.lpush("keyrack:1:key/c", b"a list")
    for bucket in ("key/a", "key/c"):
        with pytest.raises(Unavailable):
            counters.take([Spend(bucket, LIMIT, 1)], NOW)
    assert counters.take([Spend("key/b", LIMIT, 1)], NOW).ok


def test_a_server_that_forgot_its_scripts_is_told_again(
    counters: RedisCounters, redis_server: RedisServer
) -> None:
    counters.take(ONE, NOW)
    redis_server.admin.script_flush()
    assert counters.take(ONE, NOW).rates[0].remaining == 498
