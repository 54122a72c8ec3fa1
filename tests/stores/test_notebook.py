"""Notes are cheap, and what is made of them is bounded, counted once and kept until it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from keyrack import Access, Allowed, Authority, Denied, Reason, Unavailable, Wish
from keyrack.core.model import Address
from keyrack.stores import journal as journal_module
from keyrack.stores.journal import ADDRESSES_KEPT, NOWHERE, MemoryJournal, Notebook, Refusal, Use, roll_up
from keyrack.testing import open_memory

HERE, THERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")


class FailingJournal(MemoryJournal):
    """A journal that cannot be written for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        if self.fails:
            raise Unavailable("The journal failed.")
        super().write(uses, refusals)


@pytest.fixture(scope="module")
def allowed() -> Allowed:
    with open_memory() as verifier:
        text = verifier.issuer().mint(Wish("k"), by=Authority.operator("tests")).secret or ""
        decision = verifier.verify(text, Access())
    assert isinstance(decision, Allowed)
    return decision


def note(book: Notebook, decision: Allowed | Denied, at: float = 1.0, address: Address = HERE) -> None:
    book.note((decision, address, at, ("GET /x", "r")))


def test_what_could_not_be_written_is_written_later_and_counted_once(allowed: Allowed) -> None:
    book, journal = Notebook(), FailingJournal()
    slot = (allowed.key.id, allowed.secret.number)
    journal.fails = True
    for at in (1.0, 2.0, 3.0):
        note(book, allowed, at)
        note(book, Denied(Reason.UNKNOWN), at)
        with pytest.raises(Unavailable):
            book.flush(journal)
    assert dict(book.totals) == {"allowed": 3, "unknown": 3}
    journal.fails = False
    book.flush(journal)
    book.flush(journal)
    assert journal.uses([slot[0]])[slot] == Use(
        *slot, uses=3, first_at=1.0, last_at=3.0, seen={"192.0.2.1": 3.0}
    )
    assert sum(refusal.times for _, refusal in journal.refusals(after=0, most=9, tenant=None)) == 3
    assert dict(book.totals) == {"allowed": 3, "unknown": 3}


def test_a_journal_that_is_gone_for_long_fills_no_memory(
    allowed: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "DENIALS_KEPT", 10)
    book, journal = Notebook(), FailingJournal()
    journal.fails = True
    for _ in range(50):
        note(book, allowed)
        note(book, Denied(Reason.UNKNOWN))
        with pytest.raises(Unavailable):
            book.flush(journal)
    journal.fails = False
    book.flush(journal)
    assert len(journal.refusals(after=0, most=1000, tenant=None)) == 10
    assert book.totals["unknown"] == 50


@pytest.mark.spec("UG-26")
def test_where_a_version_was_used_from_is_noted_with_the_latest_time(allowed: Allowed) -> None:
    other = allowed._replace(secret=replace(allowed.secret, number=2))
    neighbours = [ip_address("2001:db8:1:2::1"), ip_address("2001:db8:1:2:3::9")]
    notes = [
        (allowed, HERE, 5.0, NOWHERE),
        (allowed, HERE, 3.0, NOWHERE),
        (allowed._replace(rates=()), ip_address(str(HERE)), 4.0, NOWHERE),
        *((other, address, 7.0, NOWHERE) for address in neighbours),
        (other, None, 9.0, NOWHERE),
    ]
    uses, _ = roll_up(notes)
    assert {use.number: (use.uses, use.seen) for use in uses} == {
        1: (3, {"192.0.2.1": 5.0}),
        2: (3, {"2001:db8:1:2::/64": 7.0}),
    }


def test_of_addresses_without_end_the_last_ones_are_kept(allowed: Allowed) -> None:
    [use], _ = roll_up([(allowed, ip_address(n), float(n), NOWHERE) for n in range(1, 1000)])
    assert list(use.seen.values()) == [float(n) for n in range(999, 999 - ADDRESSES_KEPT, -1)]


def test_unproved_refusals_of_one_address_and_reason_are_one_entry(allowed: Allowed) -> None:
    notes = [
        (Denied(reason), address, 1.0, NOWHERE)
        for reason in (Reason.UNKNOWN, Reason.MALFORMED)
        for address in (HERE, THERE)
        for _ in range(5)
    ]
    _, refusals = roll_up(notes)
    assert sorted((one.reason.value, one.address, one.times) for one in refusals) == [
        ("malformed", str(HERE), 5),
        ("malformed", str(THERE), 5),
        ("unknown", str(HERE), 5),
        ("unknown", str(THERE), 5),
    ]


def test_addresses_without_end_share_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_MERGED", 3)
    notes = [(Denied(Reason.UNKNOWN), ip_address(n), 1.0, NOWHERE) for n in range(10)]
    _, refusals = roll_up(notes)
    assert len(refusals) == 4
    assert sum(one.times for one in refusals) == 10
    assert [one.times for one in refusals if one.address is None] == [7]


def test_a_proved_key_that_is_refused_in_a_loop_is_counted_by_key_and_reason(
    allowed: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_SINGLE", 5)
    other = replace(allowed.key, id="otherotherot")
    notes = [
        (Denied(Reason.RATE, key, allowed.secret), HERE, float(at), ("GET /x", f"r{at}"))
        for key in (allowed.key, other)
        for at in range(50)
    ]
    _, refusals = roll_up(notes)
    assert len(refusals) == 7
    assert sum(one.times for one in refusals) == 100
    assert {one.key_id for one in refusals} == {allowed.key.id, other.id}
