"""One contract for every kind of Counters; what only one of them can do has a file of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.model import Limit
from keyrack.stores import counters_file
from keyrack.stores.counters import Counters, MemoryCounters, Spend, open_counters
from keyrack.stores.counters_postgres import LIMITS, PostgresCounters
from keyrack.stores.counters_redis import RedisCounters
from keyrack.stores.counters_sqlite import SqliteCounters

NOW = 1_700_000_000.0
MINUTE = Limit("minute", 10, 60)
HOUR = Limit("hour", 15, 3_600)

PATIENT = LIMITS._replace(answer=60.0, lock=30.0)
"""So long a loaded machine may take for what is done in a millisecond."""

Bounded = MemoryCounters | SqliteCounters
Subject = Bounded | RedisCounters | PostgresCounters
Factory = Callable[[int], Bounded]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted is looked at here, and not how soon."""
    monkeypatch.setattr(counters_file, "BUSY_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    """Counters with room for so many entries."""
    made: list[Bounded] = []

    def factory(max_entries: int) -> Bounded:
        in_memory = request.param == "memory"
        path = tmp_path / f"counters-{len(made)}.db"
        counters = MemoryCounters(max_entries) if in_memory else SqliteCounters(path, max_entries)
        made.append(counters)
        return counters

    yield factory
    for counters in made:
        counters.close()


@pytest.fixture(params=["memory", "sqlite", "redis", "postgresql"])
def counters(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Counters with nothing in them."""
    opened: Subject
    if request.param == "redis":
        opened = RedisCounters(request.getfixturevalue("redis_server").patient_url)
    elif request.param == "postgresql":
        opened = PostgresCounters(request.getfixturevalue("postgresql_url"), PATIENT)
    else:
        opened = MemoryCounters() if request.param == "memory" else SqliteCounters(tmp_path / "counters.db")
    yield opened
    opened.close()


def entries(counters: Subject) -> int:
    """How many buckets are kept."""
    if isinstance(counters, RedisCounters):
        return int(counters._redis.dbsize())
    return counters.entries()


def spend(bucket: str = "key/a", limit: Limit = MINUTE, cost: int = 1) -> Spend:
    return Spend(bucket, limit, cost)


def admitted(counters: Counters, bucket: str, *, tries: int, now: float = NOW) -> int:
    return sum(counters.take([spend(bucket)], now).ok for _ in range(tries))


def test_a_take_says_what_is_left(counters: Subject) -> None:
    taken = counters.take([spend(cost=3)], NOW)
    assert taken.ok
    assert taken.retry_after is None
    assert taken.refused == ()
    (rate,) = taken.rates
    assert (rate.name, rate.limit, rate.window_seconds) == ("minute", 10, 60)
    assert (rate.remaining, rate.reset_at) == (7, NOW + 60)


def test_what_does_not_fit_is_refused_and_said_when_it_will(counters: Subject) -> None:
    counters.take([spend(cost=4)], NOW)
    counters.take([spend(cost=6)], NOW + 10.5)
    taken = counters.take([spend(cost=5)], NOW + 20)
    assert not taken.ok
    assert taken.retry_after == 51
    assert taken.rates == taken.refused
    assert (taken.rates[0].remaining, taken.rates[0].reset_at) == (0, NOW + 60)


@pytest.mark.spec("CI-93")
def test_a_burst_at_the_edge_of_a_window_is_not_admitted_twice(counters: Subject) -> None:
    assert admitted(counters, "key/a", tries=20, now=NOW + 59.9) == 10
    assert admitted(counters, "key/a", tries=20, now=NOW + 60.1) == 0
    assert admitted(counters, "key/a", tries=20, now=NOW + 119.9) == 10


def test_buckets_are_counted_apart(counters: Subject) -> None:
    assert admitted(counters, "key/a", tries=12) == 10
    assert admitted(counters, "key/b", tries=12) == 10


def test_all_limits_of_a_request_are_taken_or_none(counters: Subject) -> None:
    both = [spend("a/minute"), spend("a/hour", HOUR)]
    assert sum(counters.take(both, NOW).ok for _ in range(20)) == 10
    minute, hour = counters.peek(both, NOW).rates
    assert (minute.remaining, hour.remaining) == (0, 5)
    refused = counters.take(both, NOW)
    assert refused.rates == (minute, hour)
    assert refused.refused == (minute,)


def test_the_longest_wait_of_all_refused_limits_is_given(counters: Subject) -> None:
    both = [spend("a/minute", cost=10), spend("a/hour", HOUR, cost=10)]
    assert counters.take(both, NOW).ok
    refused = counters.take(both, NOW)
    assert refused.retry_after == 3_600
    assert [rate.name for rate in refused.refused] == ["minute", "hour"]


def test_two_spends_from_one_bucket_must_fit_together(counters: Subject) -> None:
    six = spend(cost=6)
    assert not counters.take([six, six], NOW).ok
    assert counters.peek([six], NOW).rates[0].remaining == 10
    five = spend(cost=5)
    assert counters.take([five, five], NOW).rates[0].remaining == 0


def test_a_cost_beyond_the_limit_never_fits(counters: Subject) -> None:
    taken = counters.take([spend(cost=11)], NOW)
    assert (taken.ok, taken.retry_after) == (False, 60)


def test_a_cost_of_nothing_always_fits_and_keeps_no_entry(counters: Subject) -> None:
    assert counters.take([spend(cost=0)], NOW).ok
    assert entries(counters) == 0
    assert admitted(counters, "key/a", tries=11) == 10
    assert counters.take([spend(cost=0), spend("key/b", cost=0)], NOW).ok


def test_a_cost_is_never_negative(counters: Subject) -> None:
    with pytest.raises(ValueError, match="negative"):
        counters.take([spend(), spend(cost=-1)], NOW)
    assert entries(counters) == 0


def test_a_request_without_limits_passes(counters: Subject) -> None:
    assert counters.take([], NOW) == (True, (), None, ())


def test_peeking_spends_nothing_and_keeps_no_entry(counters: Subject) -> None:
    assert counters.peek([spend(cost=10)], NOW).ok
    assert entries(counters) == 0
    counters.take([spend(cost=4)], NOW)
    before = counters.peek([spend(cost=7)], NOW)
    assert (before.ok, before.retry_after, before.rates[0].remaining) == (False, 60, 6)
    assert counters.peek([spend(cost=7)], NOW) == before


def test_a_refused_take_keeps_no_entry(counters: Subject) -> None:
    counters.take([spend("key/a"), spend("key/b", cost=11)], NOW)
    assert entries(counters) == 0


def test_what_is_given_back_can_be_taken_again(counters: Subject) -> None:
    both = [spend("a/minute", cost=6), spend("a/hour", HOUR, cost=6)]
    counters.take(both, NOW)
    counters.take([spend("a/minute")], NOW + 1)
    counters.give_back(both, NOW)
    minute, hour = counters.peek(both, NOW + 1).rates
    assert (minute.remaining, minute.reset_at) == (9, NOW + 61)
    assert hour.remaining == 15


def test_giving_back_more_than_was_taken_until_then_gives_later_units(counters: Subject) -> None:
    counters.take([spend(cost=2)], NOW)
    counters.take([spend(cost=3)], NOW + 1)
    counters.give_back([spend(cost=4)], NOW)
    (rate,) = counters.peek([spend()], NOW + 1).rates
    assert (rate.remaining, rate.reset_at) == (9, NOW + 61)


def test_giving_back_to_an_unknown_bucket_does_nothing(counters: Subject) -> None:
    counters.give_back([spend()], NOW)
    assert entries(counters) == 0


def test_adding_counts_what_does_not_fit(counters: Subject) -> None:
    (rate,) = counters.add([spend(cost=4)], NOW)
    assert rate.remaining == 6
    (rate,) = counters.add([spend(cost=500)], NOW + 1)
    assert (rate.remaining, rate.reset_at) == (0, NOW + 61)
    assert not counters.take([spend()], NOW + 60.5).ok
    assert counters.take([spend(cost=10)], NOW + 61).ok


def test_limits_above_a_thousand_are_never_exceeded(counters: Subject) -> None:
    wide = Limit("wide", 1_500, 60)
    chance, log = random.Random(7), []
    now = NOW
    for _ in range(1_500):
        now += chance.choice([0, 0.01, 0.3])
        cost = chance.choice([1, 2, 40])
        if counters.take([spend(limit=wide, cost=cost)], now).ok:
            log.append((now, cost))
    assert max(sum(n for at, n in log if start <= at < start + 60) for start, _ in log) <= 1_500


def test_threads_together_get_exactly_the_limit(counters: Subject) -> None:
    limit = Limit("shared", 300, 60)
    granted: list[bool] = []

    def take_many() -> None:
        granted.extend(counters.take([spend(limit=limit)], NOW).ok for _ in range(100))

    threads = [threading.Thread(target=take_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), sum(granted)) == (800, 300)


def test_threads_that_give_back_and_take_end_where_they_began(counters: Subject) -> None:
    limit = Limit("shared", 50, 60)

    def come_and_go() -> None:
        for _ in range(50):
            if counters.take([spend(limit=limit)], NOW).ok:
                counters.give_back([spend(limit=limit)], NOW)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.peek([spend(limit=limit)], NOW).rates[0].remaining == 50


@pytest.mark.spec("CI-95")
def test_stale_entries_are_gone_after_a_hundred_calls(make: Factory) -> None:
    counters = make(10_000)
    for number in range(2_000):
        counters.take([spend(f"address/{number}")], NOW)
    assert entries(counters) == 2_000
    for _ in range(100):
        counters.take([spend("address/late", limit=Limit("wide", 1_000, 60))], NOW + 121)
    assert entries(counters) == 1


def test_a_caller_that_read_the_clock_late_still_finds_what_counted_then(counters: Subject) -> None:
    admitted(counters, "key/a", tries=10)
    for _ in range(100):
        counters.take([spend("another")], NOW + 119)
    assert not counters.take([spend("key/a")], NOW + 59.9).ok


def test_an_entry_that_is_still_charged_stays(counters: Subject) -> None:
    for second in range(0, 600, 6):
        assert counters.take([spend()], NOW + second).ok
        counters.take([spend("another")], NOW + second)
    assert counters.peek([spend()], NOW + 600).rates[0].remaining == 1


@pytest.mark.spec("CI-95")
def test_a_full_table_counts_the_unknown_together_and_keeps_the_known(make: Factory) -> None:
    counters = make(200)
    for number in range(198):
        assert admitted(counters, f"known/{number}", tries=4) == 4
    assert sum(admitted(counters, f"unknown/{number}", tries=1) for number in range(100)) == 10
    assert entries(counters) == 199
    assert admitted(counters, "known/0", tries=10) == 6


def test_unknown_buckets_of_a_full_table_are_charged_in_one_request(make: Factory) -> None:
    counters = make(200)
    for number in range(198):
        counters.take([spend(f"known/{number}")], NOW)
    strangers = [spend("unknown/1", cost=6), spend("unknown/2", cost=6)]
    assert not counters.take(strangers, NOW).ok
    assert counters.take([one._replace(cost=5) for one in strangers], NOW).ok
    counters.give_back([one._replace(cost=5) for one in strangers], NOW)
    assert counters.peek(strangers[:1], NOW).rates[0].remaining == 10


def test_limits_of_different_shape_do_not_share_an_overflow_bucket(make: Factory) -> None:
    counters = make(300)
    for number in range(297):
        counters.take([spend(f"known/{number}")], NOW)
    assert admitted(counters, "unknown/1", tries=12) == 10
    assert counters.take([spend("unknown/2", HOUR)], NOW).rates[0].remaining == 14
    assert entries(counters) == 299


def test_without_room_for_an_overflow_bucket_it_is_unavailable(make: Factory) -> None:
    counters = make(10)
    for number in range(9):
        counters.take([spend(f"known/{number}")], NOW)
    counters.take([spend("unknown")], NOW)
    with pytest.raises(Unavailable):
        counters.take([spend("unknown", HOUR)], NOW)
    assert entries(counters) == 10
    assert counters.take([spend("known/0")], NOW).ok


def test_there_is_room_again_when_entries_went_stale(make: Factory) -> None:
    counters = make(10)
    for number in range(20):
        counters.take([spend(f"old/{number}")], NOW)
    for _ in range(10):
        counters.take([spend("new")], NOW + 200)
    assert admitted(counters, "new", tries=20, now=NOW + 260) == 10


def test_counters_open_anew_after_they_were_closed(counters: Subject) -> None:
    counters.take([spend(cost=4)], NOW)
    counters.close()
    counters.close()
    assert counters.take([spend()], NOW).rates[0].remaining == 5


def test_only_counters_behind_a_network_say_that_they_may_wait(counters: Subject) -> None:
    assert counters.blocks is isinstance(counters, RedisCounters | PostgresCounters)


def test_a_url_says_where_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    in_memory = open_counters("memory:")
    relative = open_counters("sqlite:///relative.db")
    absolute = open_counters(f"sqlite:///{tmp_path}/absolute.db")
    try:
        assert isinstance(in_memory, MemoryCounters)
        assert isinstance(relative, SqliteCounters)
        assert isinstance(absolute, SqliteCounters)
        assert (tmp_path / "relative.db").exists()
        assert (tmp_path / "absolute.db").exists()
    finally:
        relative.close()
        absolute.close()


@pytest.mark.parametrize("url", ["memory:", "sqlite:///limits.db"])
def test_a_bound_is_given_where_counters_are_opened(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_counters(url, max_entries=10)) as counters:
        assert sum(counters.take([spend(f"address/{number}")], NOW).ok for number in range(30)) == 19


@pytest.mark.parametrize(
    "url",
    ["", "memory", "memory:x", "sqlite:", "sqlite:///", "sqlite://host/a", "redis:", "redis://", "x://y"],
)
def test_an_unknown_url_names_the_setting_and_not_its_value(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_counters(url)
    assert caught.value.setting == "KEYRACK_COUNTERS"
    assert "x://y" not in str(caught.value)
