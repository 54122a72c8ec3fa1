"""What a node does between decisions: chores that fail and recover, and changes that wait for other nodes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS, eventually

from keyrack import Access, Authority, Denied, Issuer, Reason, Unavailable, Verifier, Wish, open_stores
from keyrack import chores as chores_module
from keyrack import upkeep as upkeep_module
from keyrack.admin.founding import found
from keyrack.chores import Chore, Telling, attempt_each
from keyrack.core.peppers import Peppers
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.follower import steady
from keyrack.stores.journal import MemoryJournal, Node, Refusal, Use
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.nodes import wait_until_passed
from keyrack.stores.opened import Stores
from keyrack.testing import PEPPERS, FixedClock

BY = Authority.operator("tests")


class Work:
    """Something that fails while it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.fails = False
        self.times = 0
        self._error = error or Unavailable("The store failed.")

    def __call__(self) -> None:
        self.times += 1
        if self.fails:
            raise self._error


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steady clock of chores, for the test to set."""
    at = [100.0]
    monkeypatch.setattr(chores_module, "steady", lambda: at[0])
    return at


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_chore_is_done_when_it_is_due_and_not_before(now: list[float]) -> None:
    work = Work()
    chore = Chore("work fails", work, 10)
    for now[0], times in ((100.0, 1), (109.9, 1), (110.0, 2)):
        assert chore.attempt()
        assert work.times == times


def test_a_chore_that_failed_counts_as_failed_until_it_succeeds(now: list[float]) -> None:
    work = Work()
    chore = Chore("work fails", work, 10)
    work.fails = True
    assert not chore.attempt()
    now[0] += 0.1
    assert not chore.attempt(), "not due again, and still not done"
    assert work.times == 1
    work.fails = False
    now[0] += chores_module.RETRY_SECONDS
    assert chore.attempt()


def test_a_chore_that_ends_in_a_fault_is_put_off_like_one_that_failed(now: list[float]) -> None:
    work = Work(ZeroDivisionError("a fault"))
    chore = Chore("work fails", work, 10)
    assert chore.attempt()
    work.fails = True
    for now[0] in (110.0, 110.0 + chores_module.RETRY_SECONDS):
        with pytest.raises(ZeroDivisionError):
            chore.attempt()
        now[0] += 0.1
        assert not chore.attempt(), "not due again, and not done"
    assert work.times == 3
    work.fails = False
    now[0] += chores_module.RETRY_SECONDS
    assert chore.attempt()


def test_a_chore_can_be_made_due_at_once(now: list[float]) -> None:
    work = Work()
    chore = Chore("work fails", work, 10)
    chore.attempt()
    chore.hurry()
    chore.attempt()
    assert work.times == 2


def test_a_fault_in_one_chore_ends_no_other_and_is_put_off(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def fault() -> None:
        raise ZeroDivisionError

    work = Work()
    chores = (Chore("one faults", fault, 10), Chore("another works", work, 0))
    for _ in range(3):
        attempt_each(chores)
    assert work.times == 3
    assert said(caplog) == [("ERROR", "upkeep failed")]


def test_a_trouble_is_told_when_it_begins_changes_and_ends_and_not_between(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telling = Telling("the disk is gone")
    with caplog.at_level(logging.INFO, "keyrack.upkeep"):
        for trouble in (None, "A.", "A.", "B.", "B.", None, None):
            telling.tell(trouble)
    assert said(caplog) == [
        ("ERROR", "the disk is gone: A."),
        ("ERROR", "the disk is gone: B."),
        ("INFO", "over: the disk is gone"),
    ]


class Nodes(MemoryJournal):
    """A journal in which another node is registered, which may come along later."""

    def __init__(self, applied: int, renewed_at: float):
        super().__init__()
        self.other = Node("other", applied, b"", renewed_at)
        self.comes_along_after = 1_000_000

    def nodes(self) -> Sequence[Node]:
        self.comes_along_after -= 1
        passed = self.other._replace(applied=1_000)
        return [self.other if self.comes_along_after >= 0 else passed]


def waited(nodes: Nodes, *, within: float = PATIENCE_SECONDS, stop: threading.Event | None = None) -> bool:
    return wait_until_passed(
        nodes,
        7,
        committed_at=steady(),
        max_stale=30.0,
        within=within,
        stop=stop or threading.Event(),
    )


def test_a_change_waits_for_every_node_that_may_still_decide() -> None:
    nodes = Nodes(applied=6, renewed_at=steady() - 15)
    nodes.comes_along_after = 3
    assert waited(nodes)
    assert nodes.comes_along_after < 0


def test_a_node_that_renewed_half_a_second_ago_is_waited_for_however_short_the_wait() -> None:
    """How long to wait and how long a lease lasts are two things."""
    assert not waited(Nodes(applied=6, renewed_at=steady() - 0.5), within=0.05)


@pytest.mark.parametrize("renewed_ago", [30.5, -60.0])
def test_a_node_whose_lease_is_over_or_from_before_a_restart_is_not_waited_for(renewed_ago: float) -> None:
    assert waited(Nodes(applied=6, renewed_at=steady() - renewed_ago))


def test_waiting_ends_when_this_node_does() -> None:
    stop = threading.Event()
    stop.set()
    assert not waited(Nodes(applied=6, renewed_at=steady()), within=30.0, stop=stop)


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'keyrack.db'}"
    stores = open_stores(made, peppers=PEPPERS, create=True)
    found(stores)
    stores.close()
    return made


def test_a_revocation_that_waits_says_so_when_its_node_stops_first(url: str) -> None:
    verifier = Verifier.open(url, peppers=PEPPERS)
    issuer = verifier.issuer()
    key = issuer.mint(Wish("k"), by=BY).key
    verifier.stores.journal.renew(Node("gone", 0, b"", steady()))
    raised: list[BaseException] = []

    def revoke() -> None:
        try:
            issuer.revoke(key.id, by=BY, wait=True)
        except Unavailable as error:
            raised.append(error)

    waiting = threading.Thread(target=revoke)
    waiting.start()
    eventually(lambda: verifier.follower.replica.head.number > key.revision)
    verifier.close()
    waiting.join(PATIENCE_SECONDS)
    assert not waiting.is_alive()
    assert "stopped before" in str(raised[0])


def test_what_was_minted_on_one_node_is_usable_on_the_other_when_it_is_answered(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep_module, "SETTLE_SECONDS", PATIENCE_SECONDS)
    with Verifier.open(url, peppers=PEPPERS) as one, Verifier.open(url, peppers=PEPPERS) as other:
        issuer = one.issuer()
        for _ in range(20):
            minted = issuer.mint(Wish("k"), by=BY)
            assert other.follower.replica.find(minted.key.id) is not None


class FullJournal(MemoryJournal):
    """A journal on a disk that has become full: nodes come and go in it, and no notes."""

    is_full = False

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        if self.is_full:
            raise Unavailable("The disk is full.")
        super().write(uses, refusals)


def test_a_node_that_cannot_write_its_notes_is_still_gone_when_it_is_closed() -> None:
    """Else each change would wait for it until nobody believes that it lives."""
    journal = FullJournal()
    stores = Stores("memory:", MemoryKeys(), journal, MemoryCounters(), Peppers.parse(PEPPERS), FixedClock())
    found(stores)
    with Verifier(stores) as verifier:
        verifier.start()
        assert len(journal.nodes()) == 1
        journal.is_full = True
    assert journal.nodes() == []


class HeldUpJournal(MemoryJournal):
    """A journal on a disk that answers when it likes to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing, self.may_go_on = threading.Event(), threading.Event()

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        self.is_writing.set()
        assert self.may_go_on.wait(PATIENCE_SECONDS)
        super().write(uses, refusals)


def test_a_revocation_does_not_wait_for_notes_that_are_being_written() -> None:
    journal = HeldUpJournal()
    stores = Stores("memory:", MemoryKeys(), journal, MemoryCounters(), Peppers.parse(PEPPERS), FixedClock())
    found(stores)
    elsewhere = Issuer(stores)
    with Verifier(stores) as verifier, ExitStack() as ending:
        ending.callback(journal.may_go_on.set)
        verifier.start()
        minted = elsewhere.mint(Wish("k", scopes=["a:b"]), by=BY)

        def verdict() -> Reason | None:
            decision = verifier.verify(str(minted.secret), Access(scopes=("a:b",)))
            return decision.reason if isinstance(decision, Denied) else None

        eventually(lambda: verdict() is None)
        assert journal.is_writing.wait(PATIENCE_SECONDS)
        elsewhere.revoke(minted.key.id, by=BY)
        eventually(lambda: verdict() is Reason.REVOKED)
        assert journal.uses([minted.key.id]) == {}
    (use,) = journal.uses([minted.key.id]).values()
    assert use.uses >= 1


class AnnouncingKeys(MemoryKeys):
    """A store over a network that says when it was written to."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0
        self.broken = False

    def pushed(self) -> bool:
        if self.broken:
            raise RuntimeError
        seen, self._seen = self._seen, len(self._entries)
        return seen != self._seen


@pytest.fixture
def announcing() -> Iterator[tuple[Verifier, AnnouncingKeys]]:
    """A node that asks for news every ten minutes, on a store that announces them."""
    keys, peppers = AnnouncingKeys(), Peppers.parse(PEPPERS)
    stores = Stores("memory:", keys, MemoryJournal(), MemoryCounters(), peppers, FixedClock())
    found(stores)
    with Verifier(stores, poll=600.0) as verifier:
        verifier.start()
        yield verifier, keys


def test_a_store_that_announces_news_is_asked_for_them_at_once(
    announcing: tuple[Verifier, AnnouncingKeys],
) -> None:
    verifier, _ = announcing
    for _ in range(3):
        key = Issuer(verifier.stores).mint(Wish("k"), by=BY).key
        eventually(lambda: verifier.follower.replica.head.number >= key.revision)  # noqa: B023


def test_a_fault_in_being_told_ends_no_following(
    announcing: tuple[Verifier, AnnouncingKeys],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    verifier, keys = announcing
    monkeypatch.setattr(upkeep_module, "FAULT_SECONDS", 0.01)
    keys.broken = True
    eventually(lambda: "upkeep failed" in caplog.text)
    keys.broken = False
    key = Issuer(verifier.stores).mint(Wish("k"), by=BY).key
    eventually(lambda: verifier.follower.replica.head.number >= key.revision)
