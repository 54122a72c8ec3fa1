"""What PostgreSQL must bear beyond the contracts: standing writers, lost connections, a server that goes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial

import psycopg
import pytest
from engine_bed import OPERATOR
from patience import eventually
from servers.postgresql import STANDBY, PostgresServer
from sqlalchemy import Connection

from keyrack import Access, ConfigurationError, Denied, Reason, Unavailable, Verifier, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.admin.restoring import accept_head
from keyrack.stores.follower import DEFAULT_MAX_STALE, steady
from keyrack.stores.journal import Node
from keyrack.stores.protocols import Batch, Excerpt, Listing, View
from keyrack.stores.sql.keys import translated
from keyrack.stores.sql.postgres import LIMITS, LOG_LOCK, PostgresKeys, open_postgres
from keyrack.stores.sql.postgres_connection import CONNECT_SECONDS, Limits
from keyrack.stores.sql.postgres_database import PostgresDatabase
from keyrack.testing import PEPPERS
from keyrack.testing.samples import append, at_once, entry, key, put

PASSWORD = "hunter2-is-not-logged"
SPAWN = multiprocessing.get_context("spawn")
SHORT = Limits(answer=0.6, lock=0.2)
PATIENT = Limits(answer=60.0, lock=0.2)
"""For whoever is not the one that is to lose patience with a server."""


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def keys(postgresql_url: str) -> Iterator[PostgresKeys]:
    opened, _ = open_postgres(postgresql_url, create=True)
    with closing(opened):
        yield opened


@pytest.fixture
def short(postgresql_url: str) -> Iterator[PostgresDatabase]:
    """A database whose connections soon lose patience."""
    with closing(PostgresDatabase(postgresql_url, SHORT)) as database:
        yield database


UNDO = """
DO $$ DECLARE later text; BEGIN
  FOR later IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
      AND tablename NOT IN ('log', 'records', 'marks', 'alembic_version') LOOP
    EXECUTE format('DROP TABLE %I', later);
  END LOOP;
  DROP INDEX records_kind, records_tenant, records_owner, records_name;
  CREATE INDEX records_owner ON records (tenant, owner, serial);
  CREATE INDEX records_name ON records (tenant, name);
  UPDATE alembic_version SET version_num = '0001';
END $$
"""
"""Leaves of a store what its first schema had."""


class TestOpening:
    """What is opened is a primary's database that holds a store of this schema, and errors show no URL."""

    def test_a_database_without_a_store_is_refused_and_left_as_it_is(
        self, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        with pytest.raises(ConfigurationError, match="keyrack init"):
            open_stores(postgresql_url, peppers=PEPPERS)
        tables = "SELECT * FROM pg_tables WHERE schemaname = 'public'"
        assert postgresql.run(tables, name_of(postgresql_url)) == []

    def test_several_that_make_one_store_at_once_all_have_it(self, postgresql_url: str) -> None:
        founded: list[bool] = []

        def make() -> None:
            with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True)) as stores:
                founded.append(found(stores))

        at_once([make] * 4)
        assert sorted(founded) == [False, False, False, True]

    def test_a_newer_schema_is_refused(self, postgresql: PostgresServer, postgresql_url: str) -> None:
        open_stores(postgresql_url, peppers=PEPPERS, create=True).close()
        postgresql.run("UPDATE alembic_version SET version_num = '9999'", name_of(postgresql_url))
        with pytest.raises(ConfigurationError, match="newer than this Keyrack"):
            open_stores(postgresql_url, peppers=PEPPERS)

    def test_a_store_of_the_first_schema_gets_what_came_later(
        self, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True)) as stores:
            put(stores.keys, entry(1))
        postgresql.run(UNDO, name_of(postgresql_url))
        with closing(open_stores(postgresql_url, peppers=PEPPERS)) as stores:
            assert stores.journal.nodes() == []
            assert stores.keys.last() == entry(1)

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
    def test_both_names_of_the_scheme_open_it(self, postgresql_url: str, scheme: str) -> None:
        url = postgresql_url.replace("postgresql", scheme, 1)
        open_stores(url, peppers=PEPPERS, create=True).close()

    @pytest.mark.parametrize(
        "url", [f"postgresql://u:{PASSWORD}@host:port:5/x?y", f"postgresql://u:{PASSWORD}@host/d?nonsense=1"]
    )
    def test_a_url_that_cannot_be_read_is_refused_without_showing_it(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as refused:
            open_stores(url, peppers=PEPPERS)
        assert refused.value.setting == "KEYRACK_STORE"
        assert PASSWORD not in "".join(map(repr, _chain(refused.value)))

    def test_a_server_that_is_not_there_is_unavailable_without_showing_the_url(self) -> None:
        with pytest.raises(Unavailable) as refused:
            open_stores(f"postgresql://u:{PASSWORD}@127.0.0.1:1/d", peppers=PEPPERS)
        assert PASSWORD not in "".join(map(repr, _chain(refused.value)))

    def test_an_open_store_shows_no_password(self, postgresql_url: str) -> None:
        url = postgresql_url.replace("postgres@", f"postgres:{PASSWORD}@")
        with closing(open_stores(url, peppers=PEPPERS, create=True)) as stores:
            shown = repr(stores) + repr(vars(stores.keys)) + repr(vars(stores.journal))
        assert PASSWORD not in shown

    def test_a_standby_is_refused_however_far_it_has_come(
        self, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        with Verifier.open(postgresql_url, peppers=PEPPERS, create=True) as verifier:
            with as_standby(postgresql), pytest.raises(Unavailable, match="standby"):
                open_stores(postgresql_url, peppers=PEPPERS)
            eventually(verifier.follower.poll)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@contextmanager
def as_standby(server: PostgresServer) -> Iterator[None]:
    """Have the server take reads alone for a while."""
    server.stop()
    (server.data / STANDBY).touch()
    server.start()
    try:
        yield
    finally:
        server.stop()
        (server.data / STANDBY).unlink()
        server.start()


class TestWriters:
    """One writer at a time, and none that stands still holds up the others."""

    def test_whatever_the_database_is_set_to_writers_see_what_was_committed_before(
        self, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        name = name_of(postgresql_url)
        postgresql.run(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        opened = [open_postgres(postgresql_url, create=True)[0] for _ in range(3)]
        at_once([partial(append, keys, times=10) for keys in opened])
        assert [one.number for one in opened[0].entries(Excerpt(most=99))] == list(range(1, 31))
        for keys in opened:
            keys.close()

    def test_a_writer_that_stands_still_loses_its_turn_after_two_seconds(
        self, keys: PostgresKeys, postgresql_url: str
    ) -> None:
        has_turn, may_go = threading.Event(), threading.Event()
        errors: list[Unavailable] = []

        def plan(view: View) -> Batch:
            view.last()
            has_turn.set()
            may_go.wait(30)
            return Batch([entry(1)], [key("stood", 1)], [])

        def stand() -> None:
            with pytest.raises(Unavailable) as caught:
                keys.commit(plan)
            errors.append(caught.value)

        standing = threading.Thread(target=stand)
        standing.start()
        has_turn.wait(30)
        with closing(open_postgres(postgresql_url, create=False)[0]) as other:
            put(other, entry(1), records=[key("went", 1)])
        may_go.set()
        standing.join()
        assert [error.code for error in errors] == ["unavailable"]
        assert [record.id for record in keys.records(Listing())] == ["went"]

    def test_waiting_for_another_writer_has_an_end(self, postgresql_url: str) -> None:
        with (
            psycopg.connect(postgresql_url) as other,
            closing(PostgresDatabase(postgresql_url, PATIENT)) as one,
        ):
            other.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
            with pytest.raises(Unavailable, match="LockNotAvailable"):
                _enter(translated(partial(one.writing_alone, LOG_LOCK)))

    def test_a_process_that_was_forked_uses_no_connection_of_its_parent(self, postgresql_url: str) -> None:
        process = SPAWN.Process(target=fork_and_look, args=(postgresql_url,))
        process.start()
        process.join()
        assert process.exitcode == 3


def fork_and_look(url: str) -> None:
    keys, _ = open_postgres(url, create=True)
    put(keys, entry(1))
    child = os.fork()
    if child == 0:
        with suppress(Unavailable):
            keys.last()
            os._exit(4)
        os._exit(3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(code if keys.last() == entry(1) else 5)


def _session_of(connection: Connection) -> int:
    """The process of the server at the other end."""
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def _session(database: PostgresDatabase) -> int | None:
    """The same of the session that a reader is given now; None when it was given none in time."""
    try:
        with translated(database.reading)() as connection:
            return _session_of(connection)
    except Unavailable:
        return None


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _ask_while_stopped(connection: Connection) -> None:
    with stopped(_session_of(connection)):
        _session_of(connection)


def _enter(transaction: Callable[[], AbstractContextManager[object]]) -> None:
    with transaction():
        pass


class TestConnections:
    """No answer is waited for for ever, and a connection that was lost is made anew."""

    def test_a_session_that_hangs_in_a_transaction_is_given_up(self, short: PostgresDatabase) -> None:
        with pytest.raises(Unavailable), translated(short.reading)() as connection:
            _ask_while_stopped(connection)
        assert eventually(lambda: _session(short))

    def test_a_session_that_hung_while_idle_is_replaced(self, short: PostgresDatabase) -> None:
        pid = eventually(lambda: _session(short))
        with stopped(pid):
            assert eventually(lambda: _session(short)) != pid

    def test_a_statement_that_takes_too_long_is_ended_by_the_server(
        self, short: PostgresDatabase, postgresql: PostgresServer
    ) -> None:
        with pytest.raises(Unavailable), translated(short.reading)() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(3600)")
        asleep = "SELECT pid FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep' AND state = 'active'"
        eventually(lambda: postgresql.run(asleep) == [])

    def test_what_a_call_may_take_is_below_a_third_of_the_default_max_stale(self) -> None:
        assert CONNECT_SECONDS + LIMITS.answer < DEFAULT_MAX_STALE / 3
        assert LIMITS.lock < LIMITS.answer

    @pytest.mark.parametrize(
        ("set_to", "durable", "is_then"),
        [("off", True, "on"), ("remote_apply", True, "remote_apply"), ("on", False, "off")],
    )
    def test_a_commit_waits_for_the_disk_and_for_what_the_server_is_set_to(
        self, postgresql: PostgresServer, postgresql_url: str, set_to: str, durable: bool, is_then: str
    ) -> None:
        postgresql.run(f"ALTER DATABASE {name_of(postgresql_url)} SET synchronous_commit = '{set_to}'")
        limits = LIMITS._replace(durable=durable)
        with closing(PostgresDatabase(postgresql_url, limits)) as database, database.writing() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == is_then

    def test_connections_that_the_server_ended_are_made_anew_without_an_error(
        self, keys: PostgresKeys, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        put(keys, entry(1))
        ended = f"datname = '{name_of(postgresql_url)}'"
        postgresql.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ended}")
        assert keys.last() == entry(1)
        put(keys, entry(2))
        assert keys.last() == entry(2)


class TestNodes:
    """A node's lease goes by the server's clock, since machines have no other in common."""

    def test_what_a_node_says_of_its_own_clock_means_nothing_to_others(self, postgresql_url: str) -> None:
        before = steady()
        with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True)) as stores:
            stores.journal.renew(Node("elsewhere", 1, b"", 123_456_789.0))
            (node,) = stores.journal.nodes()
        assert before <= node.renewed_at <= steady()

    @pytest.mark.parametrize(("ahead", "age"), [(-3600, 3600), (3600, 0)])
    def test_a_lease_is_as_old_as_the_server_says_and_never_from_tomorrow(
        self, postgresql: PostgresServer, postgresql_url: str, ahead: int, age: int
    ) -> None:
        with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True)) as stores:
            stores.journal.renew(Node("elsewhere", 1, b"", 0.0))
            moved = f"UPDATE nodes SET renewed_at = renewed_at + ({ahead})"
            postgresql.run(moved, name_of(postgresql_url))
            (node,) = stores.journal.nodes()
        assert age <= steady() - node.renewed_at < age + 60

    def test_a_node_that_was_killed_is_forgotten_after_a_month(
        self, postgresql: PostgresServer, postgresql_url: str
    ) -> None:
        with closing(open_stores(postgresql_url, peppers=PEPPERS, create=True)) as stores:
            for node, days in (("killed", 31), ("asleep", 29), ("retiring", 0)):
                stores.journal.renew(Node(node, 1, b"", 0.0))
                moved = f"UPDATE nodes SET renewed_at = renewed_at - {days * 86_400} WHERE id = '{node}'"
                postgresql.run(moved, name_of(postgresql_url))
            stores.journal.retire("retiring")
            assert [node.id for node in stores.journal.nodes()] == ["asleep"]


def test_a_database_that_was_restored_is_refused_until_somebody_says_so(
    postgresql: PostgresServer, postgresql_url: str
) -> None:
    Verifier.open(postgresql_url, peppers=PEPPERS, create=True).close()
    name = name_of(postgresql_url)
    postgresql.run(f"CREATE DATABASE {name}_backup TEMPLATE {name}")
    with Verifier.open(postgresql_url, peppers=PEPPERS, poll=0.05) as verifier:
        text = verifier.issuer().mint(Wish("later"), by=OPERATOR).secret or ""
        exchange(postgresql, name)
        eventually(lambda: verifier.doubt() is Reason.STORE_DOWN)
        assert "rolled back" in str(verifier.trouble)
        with closing(open_stores(postgresql_url, peppers=PEPPERS)) as stores:
            # The node may find the other log just before it says in there how far it had come.
            eventually(lambda: list(stores.journal.nodes()))
            assert len(accept_head(stores, by="tests").lost) == 1
        eventually(lambda: verifier.doubt() is None)
        decision = verifier.verify(text, Access())
        assert isinstance(decision, Denied)
        assert decision.reason is Reason.UNKNOWN


def exchange(server: PostgresServer, name: str) -> None:
    """Put a backup in the place of a database, as nobody can while somebody uses it."""
    server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    eventually(lambda: not server.run(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"))
    server.run(f"ALTER DATABASE {name} RENAME TO {name}_lost")
    server.run(f"ALTER DATABASE {name}_backup RENAME TO {name}")
