"""`kill -9` at any instant: no acknowledged change is lost, none is without its event, the chain stands.

Writers are killed at random instants, alone and while another writer goes on. After each kill the store
is opened as any process would open it and compared with what callers had been told before.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from crash_writer import Ack, write
from servers.postgresql import PostgresServer

from keyrack import Access, Denied, Reason, Verifier
from keyrack.core.events import EMPTY, Event, open_entry
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS

KILLS = {"sqlite": 60, "postgresql": 16, "directory": 24}
"""How often; in PostgreSQL a process that is killed leaves no file of its own half written."""
MOST = 20
"""So many times as many are killed at most, where a busy machine kills them before they say anything."""
LONGEST_SECONDS = 0.2
LONGER = 1.1
"""By how much longer the next may run after one that said nothing."""
LONGEST_TO_MAKE = {"sqlite": 0.12, "postgresql": 0.3, "directory": 0.12}

# Children are forked from a process of one thread that has imported everything once.
forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(
    [
        "crash_writer",
        "keyrack.stores.sql.sqlite",
        "keyrack.stores.sql.sqlite_journal",
        "keyrack.stores.sql.postgres",
        "keyrack.stores.objects.opening",
    ]
)


class Writer:
    """One process, and what it said was done."""

    def __init__(self, url: str, seed: int):
        self._reading, writing = forked.Pipe(duplex=False)
        self._process = forked.Process(target=write, args=(url, seed, writing), daemon=True)
        self._process.start()
        writing.close()
        self.acks: list[Ack] = []

    def runs_for(self, seconds: float) -> None:
        """Let it run, reading what it says; the pipe must never be what it waits for."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._reading.poll(left):
                self.acks.append(self._reading.recv())

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        with suppress(EOFError):
            while True:
                self.acks.append(self._reading.recv())


NewUrl = Callable[[], str]
"""The URL of a place where there is no store yet."""


@pytest.fixture(params=KILLS)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_url(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    if store == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        return server.new_url
    numbers = itertools.count()
    if store == "directory":
        return lambda: f"file://{tmp_path / f'keys-{next(numbers)}'}"
    return lambda: f"sqlite:///{tmp_path / f'keys-{next(numbers)}.db'}"


def test_a_killed_writer_loses_nothing_that_was_acknowledged(store: str, new_url: NewUrl) -> None:
    url, kills, longest = new_url(), KILLS[store], LONGEST_SECONDS
    make(url)
    chosen = random.Random()
    told: list[Ack] = []
    survivor = Writer(url, seed=0)
    for kill in range(1, kills * MOST):
        if kill > kills and len(told) > kills:
            break
        if kill < kills // 2:
            survivor.runs_for(LONGEST_SECONDS / 10)
        elif kill == kills // 2:
            survivor.kill()
        writer = Writer(url, seed=kill)
        writer.runs_for(chosen.uniform(0, longest))
        writer.kill()
        longest *= 1 if writer.acks else LONGER
        told += writer.acks
        if kill % 8 == 0 or kill > kills - 4:
            check(url, [*told, *survivor.acks])
    assert check(url, told + survivor.acks) >= len(told) > kills


def check(url: str, told: list[Ack]) -> int:
    """Compare the store with what callers were told; returns how many events it has."""
    # Opening checks that the last event vouches for exactly these records.
    with Verifier.open(url, peppers=PEPPERS) as verifier:
        last, revisions = as_of_now(verifier.stores)
        events = {number: event for number, event in walked(verifier.stores) if number <= last}
        for ack in told:
            event = events[ack.revision]
            assert (event.kind.value, event.subject) == (ack.kind, ack.key_id)
            assert not ack.secret or is_known(verifier, ack.secret)
        latest = {event.subject: number for number, event in events.items() if event.subject}
        assert latest == revisions
        return len(events)


def walked(stores: Stores) -> Iterator[tuple[int, Event]]:
    """Every event by its number, each of which has to stand right behind the one before it."""
    head = EMPTY
    while entries := stores.keys.entries(Excerpt(after=head.number, most=1000)):
        for entry in entries:
            event, head = open_entry(entry, stores.peppers, after=head)
            yield head.number, event


def is_known(verifier: Verifier, secret: str) -> bool:
    decision = verifier.verify(secret, Access())
    return not (isinstance(decision, Denied) and decision.reason is Reason.UNKNOWN)


def as_of_now(stores: Stores) -> tuple[int, dict[str, int]]:
    """The last number, and for each record the number of the event that left it; writers may go on."""
    with stores.keys.snapshot() as snapshot:
        last = snapshot.last()
        bodies = {record_id: json.loads(body) for _, record_id, body, _, _ in snapshot.records()}
    return last.number if last else 0, {one: body["revision"] for one, body in bodies.items()}


def test_a_writer_that_is_killed_while_it_makes_the_store_leaves_one_that_can_be_opened(
    store: str, new_url: NewUrl
) -> None:
    """The first of all: creating the file, its tables and its first events."""
    chosen = random.Random()
    for _ in range(KILLS[store] // 4):
        url = new_url()
        process = forked.Process(target=make, args=(url,), daemon=True)
        process.start()
        process.join(chosen.uniform(0, LONGEST_TO_MAKE[store]))
        process.kill()
        process.join()
        make(url)
        with closing(open_stores(url, peppers=PEPPERS)) as stores:
            assert [event.kind.value for _, event in walked(stores)] == ["store.created", "tenant.created"]


def make(url: str) -> None:
    Verifier.open(url, peppers=PEPPERS, create=True).close()
