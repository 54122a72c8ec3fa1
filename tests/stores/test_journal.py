"""One contract for every kind of journal: uses add up, refusals keep their order, nodes come and go."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from keyrack import open_stores
from keyrack.core.model import Reason
from keyrack.stores import journal as journal_module
from keyrack.stores.follower import steady
from keyrack.stores.journal import (
    ADDRESSES_KEPT,
    ADDRESSES_KEPT_SECONDS,
    Journal,
    MemoryJournal,
    Node,
    Refusal,
    Use,
)
from keyrack.stores.sql import journal as sql_module
from keyrack.testing import PEPPERS
from keyrack.testing.samples import at_once

OpenJournal = Callable[[], Journal]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenJournal]:
    """Opens the one journal of a test, once more."""
    urls = {
        "memory": lambda: "memory:",
        "sqlite": lambda: f"sqlite:///{tmp_path / 'keys.db'}",
        "postgresql": lambda: request.getfixturevalue("postgresql_url"),
    }
    url = urls[request.param]()
    with ExitStack() as opened:

        def open_one() -> Journal:
            stores = open_stores(url, peppers=PEPPERS, create=True)
            opened.callback(stores.close)
            return stores.journal

        first = open_one()
        yield (lambda: first) if url == "memory:" else open_one


def refusal(at: float, reason: Reason = Reason.UNKNOWN, *, tenant: str | None = None) -> Refusal:
    return Refusal(at, reason, 1, "192.0.2.1", None, tenant, None, "GET /x", "r")


def test_uses_of_a_version_add_up_for_everybody(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    journal.write([Use("a", 1, 2, 10.5, 20.5), Use("a", 2, 1, 1.0, 1.0)], [])
    other.write([Use("a", 1, 3, 5.5, 15.5), Use("b", 1, 4_000_000_000, 7.0, 7.0)], [])
    found = journal.uses(["a", "b", "c"])
    assert found["a", 1] == Use("a", 1, 5, 5.5, 20.5)
    assert found["b", 1].uses == 4_000_000_000
    assert set(found) == {("a", 1), ("a", 2), ("b", 1)}
    assert journal.uses([]) == {}


@pytest.mark.spec("UG-26")
def test_the_last_addresses_of_a_version_are_kept_with_when_they_were_seen_last(
    open_journal: OpenJournal,
) -> None:
    journal, other = open_journal(), open_journal()
    journal.write([Use("a", 1, 2, 1.0, 9.0, {"192.0.2.1": 9.0, "2001:db8::/64": 3.0})], [])
    other.write(
        [Use("a", 1, 1, 5.0, 5.0, {"192.0.2.1": 5.0, "192.0.2.2": 5.0}), Use("a", 2, 1, 1.0, 1.0)], []
    )
    found = journal.uses(["a"])
    assert found["a", 1].seen == {"192.0.2.1": 9.0, "192.0.2.2": 5.0, "2001:db8::/64": 3.0}
    assert found["a", 2].seen == {}
    many = {f"198.51.100.{number}": 10.0 + number for number in range(ADDRESSES_KEPT)}
    for address, at in many.items():
        journal.write([Use("a", 1, 1, at, at, {address: at})], [])
    assert other.uses(["a"])["a", 1].seen == many


def test_the_addresses_of_more_keys_than_a_query_names_are_kept(open_journal: OpenJournal) -> None:
    journal = open_journal()
    used = [Use(f"k{number}", 1, 1, 1.0, 1.0, {f"10.0.{number // 250}.1": 1.0}) for number in range(1200)]
    journal.write(used, [])
    journal.write(used, [])
    found = journal.uses([use.key_id for use in used])
    assert {slot: use.seen for slot, use in found.items()} == {(use.key_id, 1): use.seen for use in used}


@pytest.mark.spec("UG-26")
@pytest.mark.parametrize("open_journal", ["sqlite", "postgresql"], indirect=True)
def test_an_address_is_let_go_thirty_days_after_it_was_seen(open_journal: OpenJournal) -> None:
    journal, month = open_journal(), float(ADDRESSES_KEPT_SECONDS)
    journal.write([Use("a", 1, 2, 1.0, 2.0, {"192.0.2.1": 1.0, "192.0.2.2": 2.0})], [])
    journal.write([Use("b", 1, 1, 1.0, 1.0, {"192.0.2.3": 1.0})], [])
    journal.write([Use("a", 1, 1, month + 1, month + 1, {"192.0.2.4": month + 1})], [])
    found = journal.uses(["a", "b"])
    assert found["a", 1].seen == {"192.0.2.2": 2.0, "192.0.2.4": month + 1}
    assert found["b", 1].seen == {}
    journal.write([Use("b", 1, 1, month + 9, month + 9, {"192.0.2.3": 3.0})], [])
    assert journal.uses(["b"])["b", 1].seen == {}


def test_refusals_come_in_order_in_pages_and_by_tenant(open_journal: OpenJournal) -> None:
    journal, now = open_journal(), time.time()
    written = [refusal(now + step, tenant="t" if step % 2 else None) for step in range(6)]
    journal.write([], written[:4])
    open_journal().write([], written[4:])
    found = journal.refusals(after=0, most=99, tenant=None)
    assert [one for _, one in found] == written
    serials = [serial for serial, _ in found]
    assert serials == sorted(set(serials))
    assert journal.refusals(after=serials[1], most=2, tenant=None) == found[2:4]
    assert [one for _, one in journal.refusals(after=0, most=99, tenant="t")] == written[1::2]


def test_a_long_word_of_a_request_is_kept_whole(open_journal: OpenJournal) -> None:
    """What could not be written would be tried again for ever, and nothing after it be written."""
    journal = open_journal()
    long = refusal(time.time())._replace(operation="GET /" + "x" * 5_000, caller="é" * 200)
    journal.write([], [long])
    assert [one for _, one in journal.refusals(after=0, most=9, tenant=None)] == [long]


def test_nothing_is_written_when_there_is_nothing(open_journal: OpenJournal) -> None:
    open_journal().write([], [])
    assert open_journal().refusals(after=0, most=9, tenant=None) == []


def test_only_so_many_refusals_are_kept(open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (journal_module, sql_module):
        monkeypatch.setattr(module, "DENIALS_KEPT", 3)
    journal, now = open_journal(), time.time()
    for step in range(5):
        journal.write([], [refusal(now + step)])
    assert [one.at for _, one in journal.refusals(after=0, most=9, tenant=None)] == [
        now + 2,
        now + 3,
        now + 4,
    ]


def test_a_node_says_how_far_it_has_come_until_it_retires(open_journal: OpenJournal) -> None:
    journal, other = open_journal(), open_journal()
    said_at = steady()
    journal.renew(Node("one", 7, b"7", said_at))
    other.renew(Node("two", 1, b"1", said_at))
    other.renew(Node("two", 2, b"2", said_at))
    found = {node.id: node for node in journal.nodes()}
    assert {(node.applied, node.hash) for node in found.values()} == {(7, b"7"), (2, b"2")}
    assert all(said_at <= node.renewed_at <= steady() for node in found.values())
    journal.retire("two")
    journal.retire("nobody")
    assert [node.id for node in other.nodes()] == ["one"]


def test_many_write_at_once_and_nothing_is_lost(open_journal: OpenJournal) -> None:
    keys = [f"k{number}" for number in range(20)]

    def write(journal: Journal, backwards: bool) -> None:
        for _ in range(10):
            used = [Use(key, 1, 1, 1.0, 1.0) for key in (reversed(keys) if backwards else keys)]
            journal.write(used, [refusal(time.time())])

    journals = [open_journal() for _ in range(4)]
    at_once([partial(write, journal, index % 2 == 0) for index, journal in enumerate(journals)])
    assert {use.uses for use in journals[0].uses(keys).values()} == {40}
    assert len(journals[0].refusals(after=0, most=99, tenant=None)) == 40


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns far more often than they do by themselves."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching")
def test_a_journal_in_memory_is_read_while_it_is_written() -> None:
    journal = MemoryJournal()
    used = [Use(f"k{number}", 1, 1, 1.0, 1.0) for number in range(3000)]
    over = threading.Event()

    def write() -> None:
        for use in used:
            journal.write([use], [])
        over.set()

    def read() -> None:
        while not over.is_set():
            journal.uses(())

    at_once([write, read])
    assert len(journal.uses([use.key_id for use in used])) == len(used)
