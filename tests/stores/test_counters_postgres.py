"""What Counters in PostgreSQL must bear beyond the contract: processes, a server that goes, and silence."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.queues import SimpleQueue

import pytest
from patience import eventually, soon
from psycopg.errors import AdminShutdown
from servers.postgresql import PostgresServer
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.model import Limit
from keyrack.stores import counters_postgres
from keyrack.stores.charging import Spend
from keyrack.stores.counters import MemoryCounters, open_counters
from keyrack.stores.counters_postgres import LIMITS, REST_SECONDS, PostgresCounters
from keyrack.testing.samples import at_once

NOW = 1_700_000_000.0
LIMIT = Limit("shared", 100, 60)
ONE = [Spend("key/a", LIMIT, 1)]
PASSWORD = "hunter2-is-not-logged"
PATIENT = LIMITS._replace(answer=60.0, lock=30.0)
"""So long a loaded machine may take for what is done in a millisecond."""
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def counters(postgresql_url: str) -> Iterator[PostgresCounters]:
    with closing(PostgresCounters(postgresql_url, PATIENT)) as opened:
        yield opened


def take_many(url: str, tries: int) -> int:
    with closing(PostgresCounters(url, PATIENT)) as counters:
        return sum(counters.take(ONE, NOW).ok for _ in range(tries))


def put_many(granted: SimpleQueue[int], url: str, tries: int) -> None:
    granted.put(take_many(url, tries))


def take_and_die(url: str) -> None:
    counters = PostgresCounters(url, PATIENT)
    for _ in range(20):
        counters.take(ONE, NOW)
    os._exit(9)


@pytest.mark.spec("CI-93", "CO-39", "LL-61")
def test_processes_together_get_exactly_the_limit(postgresql_url: str) -> None:
    """They make the tables, too, at the same moment."""
    granted = SPAWN.SimpleQueue()
    processes = [SPAWN.Process(target=put_many, args=(granted, postgresql_url, 90)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sum(granted.get() for _ in processes) == 100


def test_a_process_that_was_killed_leaves_what_it_took(postgresql_url: str) -> None:
    process = SPAWN.Process(target=take_and_die, args=(postgresql_url,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert take_many(postgresql_url, 90) == 80


def test_limits_in_any_order_wait_for_each_other_and_never_for_ever(
    counters: PostgresCounters, postgresql_url: str
) -> None:
    one, two = Spend("a", LIMIT, 1), Spend("b", Limit("other", 1_000, 60), 1)

    def take(both: list[Spend]) -> None:
        with closing(PostgresCounters(postgresql_url, PATIENT)) as own:
            for _ in range(40):
                own.take(both, NOW)

    at_once([partial(take, [one, two]), partial(take, [two, one]), partial(take, [one, two, one])])
    assert counters.peek([one, two], NOW).rates[0].remaining == 0


def test_pruning_while_others_charge_loses_nothing(counters: PostgresCounters, postgresql_url: str) -> None:
    wide = Limit("wide", 10_000, 60)
    for number in range(100):
        counters.take([Spend(f"old/{number}", LIMIT, 1)], NOW)

    def charge() -> None:
        with closing(PostgresCounters(postgresql_url, PATIENT)) as own:
            for _ in range(60):
                own.take([Spend("key/a", wide, 1)], NOW + 130)

    at_once([charge] * 3)
    assert counters.peek([Spend("key/a", wide, 1)], NOW + 130).rates[0].remaining == 10_000 - 180
    assert counters.entries() == 1


def test_a_row_that_is_charged_again_and_again_is_pruned_in_the_end(counters: PostgresCounters) -> None:
    for second in range(0, 300, 10):
        counters.take(ONE, NOW + second)
    for _ in range(10):
        counters.take([Spend("other", LIMIT, 1)], NOW + 600)
    assert counters.entries() == 1


def test_rows_that_live_longer_than_they_were_to_do_not_hide_those_that_are_stale(
    counters: PostgresCounters, postgresql: PostgresServer, postgresql_url: str
) -> None:
    counters.take([Spend("stale", LIMIT, 1)], NOW)
    many = "SELECT 'live/' || n, 9e18, 0, '1' FROM generate_series(1, 1000) AS n"
    postgresql.run(
        f"INSERT INTO counter_windows (bucket, stale_at, due_at, state) {many}", name(postgresql_url)
    )
    for _ in range(30):
        counters.peek(ONE, NOW + 600)
    assert counters.entries() == 1_000


def name(url: str) -> str:
    """The database that a URL names."""
    return url.partition("?")[0].rpartition("/")[2]


def test_without_a_server_calls_fail_at_once_and_with_it_again_they_count(
    counters: PostgresCounters, postgresql: PostgresServer
) -> None:
    def refused_in() -> float:
        begun = time.monotonic()
        assert all(_refused(counters) for _ in range(20))
        return time.monotonic() - begun

    counters.take([Spend("key/a", LIMIT, 60)], NOW)
    postgresql.stop()
    try:
        soon(refused_in, within=0.25 + REST_SECONDS)
    finally:
        postgresql.start()
    eventually(lambda: not _refused(counters), every=REST_SECONDS / 10)
    assert counters.peek(ONE, NOW).rates[0].remaining == 39


def _refused(counters: PostgresCounters) -> bool:
    try:
        counters.take(ONE, NOW)
    except Unavailable:
        return True
    return False


def test_connections_that_the_server_ended_are_made_anew_without_a_refusal(
    counters: PostgresCounters, postgresql: PostgresServer
) -> None:
    counters.take(ONE, NOW)
    ended = "application_name = 'keyrack' AND pid <> pg_backend_pid()"
    postgresql.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ended}")
    assert counters.take(ONE, NOW).rates[0].remaining == 98


@contextmanager
def answers_to_commits_lost(counters: PostgresCounters) -> Iterator[None]:
    """The server commits what is written here, and ends the connection before it says so."""
    own = counters._database.writing

    @contextmanager
    def writing() -> Iterator[Connection]:
        with own() as connection:
            yield connection
        raise OperationalError("COMMIT", {}, AdminShutdown(), connection_invalidated=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counters._database, "writing", writing)
        yield


def test_a_step_whose_commit_was_not_answered_is_unavailable_and_not_repeated(
    counters: PostgresCounters,
) -> None:
    counters.take([Spend("key/a", LIMIT, 60)], NOW)
    for step, remaining in ((counters.take, 30), (counters.add, 20), (counters.give_back, 30)):
        with answers_to_commits_lost(counters), pytest.raises(Unavailable):
            step([Spend("key/a", LIMIT, 10)], NOW)
        assert counters.peek(ONE, NOW).rates[0].remaining == remaining


def test_a_server_that_says_nothing_is_unavailable_after_a_quarter_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counters_postgres, "REST_SECONDS", 3_600)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/d"

        def refused_in() -> float:
            with closing(PostgresCounters(url)) as counters:
                begun = time.monotonic()
                with pytest.raises(Unavailable) as refused:
                    counters.take(ONE, NOW)
                took = time.monotonic() - begun
                with pytest.raises(Unavailable, match="a moment ago"):
                    counters.take(ONE, NOW)
                shown = repr(refused.value) + repr(refused.value.__cause__) + repr(vars(counters))
            assert took > 0.2
            assert PASSWORD not in shown
            return took

        soon(refused_in, within=1.8)  # libpq itself waits two seconds


def test_a_lock_that_is_held_is_unavailable_and_others_are_counted(
    counters: PostgresCounters, postgresql_url: str
) -> None:
    counters.take(ONE, NOW)
    with closing(PostgresCounters(postgresql_url)) as other, counters._database.writing() as connection:
        connection.exec_driver_sql("LOCK TABLE counter_windows IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            other.take(ONE, NOW)
    assert counters.take(ONE, NOW).rates[0].remaining == 98


def test_a_damaged_window_is_unavailable_and_no_other(
    counters: PostgresCounters, postgresql: PostgresServer, postgresql_url: str
) -> None:
    counters.take(ONE, NOW)
    postgresql.run("UPDATE counter_windows SET state = '\\x00'", name(postgresql_url))
    with pytest.raises(Unavailable):
        counters.take(ONE, NOW)
    assert counters.take([Spend("key/b", LIMIT, 1)], NOW).ok


def test_tables_that_were_dropped_are_made_again(
    counters: PostgresCounters, postgresql: PostgresServer, postgresql_url: str
) -> None:
    counters.take(ONE, NOW)
    postgresql.run("DROP TABLE counter_windows", name(postgresql_url))
    with pytest.raises(Unavailable):
        counters.take(ONE, NOW)
    assert counters.take(ONE, NOW).rates[0].remaining == 99


def test_a_full_window_has_the_answers_that_it_has_in_memory(counters: PostgresCounters) -> None:
    reference, limit = MemoryCounters(), Limit("full", 50, 60)
    for number in range(150):
        now, spends = NOW + number * 0.9, [Spend("key/a", limit, 1 + number % 3)]
        assert counters.take(spends, now) == reference.take(spends, now)


@pytest.mark.spec("CI-95")
def test_a_full_table_counts_the_unknown_together_where_a_bound_was_given(postgresql_url: str) -> None:
    limit = Limit("few", 10, 60)
    with closing(PostgresCounters(postgresql_url, PATIENT, max_entries=20)) as counters:
        for number in range(19):
            assert counters.take([Spend(f"known/{number}", limit, 1)], NOW).ok
        passed = [counters.take([Spend(f"unknown/{number}", limit, 1)], NOW).ok for number in range(15)]
        assert passed == [True] * 10 + [False] * 5
        assert counters.entries() == 20
        assert counters.take([Spend("known/0", limit, 1)], NOW).rates[0].remaining == 8


def test_a_url_is_opened_without_asking_the_server_and_refused_without_showing_it() -> None:
    for scheme in ("postgresql", "postgres"):
        assert isinstance(open_counters(f"{scheme}://127.0.0.1:1/d"), PostgresCounters)
    with pytest.raises(ConfigurationError) as refused:
        open_counters(f"postgresql://u:{PASSWORD}@host/d?nonsense=1")
    assert refused.value.setting == "KEYRACK_COUNTERS"
    assert PASSWORD not in str(refused.value)
