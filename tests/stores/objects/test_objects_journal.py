"""Use and refusals in objects of each process: written at most once a minute, put together on reading."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from objects_bed import Files, MoodyStorage

from keyrack.core.errors import Unavailable
from keyrack.core.model import Reason
from keyrack.stores import nodes
from keyrack.stores.follower import steady
from keyrack.stores.journal import ADDRESSES_KEPT_SECONDS, DENIALS_KEPT_SECONDS, Node, Refusal, Use
from keyrack.stores.objects import journal as journal_module
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.journal import ObjectJournal
from keyrack.stores.objects.tidying import LEAST
from keyrack.testing import FixedClock

NOW = FixedClock()()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steady clock of journals, for the test to set."""
    at = [100.0]
    monkeypatch.setattr(journal_module, "steady", lambda: at[0])
    return at


@pytest.fixture
def storage(tmp_path: Path) -> MoodyStorage:
    return MoodyStorage(Directory(tmp_path))


def opened(storage: MoodyStorage, clock: FixedClock | None = None) -> ObjectJournal:
    return ObjectJournal(storage, clock=clock or FixedClock())


def refusal(at: float, *, tenant: str = "t", times: int = 1) -> Refusal:
    return Refusal(at, Reason.REVOKED, times, "10.0.0.1", "k", tenant, "me", "GET", None)


def writes(storage: MoodyStorage) -> list[str]:
    return [path.partition("/")[0] for what, path in storage.asked if what in ("put", "replace")]


@pytest.mark.spec("LL-56")
def test_notes_are_written_at_most_once_a_minute(storage: MoodyStorage, now: list[float]) -> None:
    journal = opened(storage)
    for now[0] in (100.0, 130.0, 159.9):
        journal.write([Use("k", 1, 1, NOW, NOW)], [refusal(NOW)])
        assert writes(storage) == []
    for now[0], count in ((160.0, 2), (161.0, 2), (219.9, 2), (220.0, 4)):
        journal.write([Use("k", 1, 1, NOW, NOW)], [refusal(NOW)])
        assert len(writes(storage)) == count
    journal.close()
    assert sorted(set(writes(storage))) == ["denials", "usage"]


@pytest.mark.spec("LL-56")
def test_nothing_new_is_not_written(storage: MoodyStorage, now: list[float]) -> None:
    journal = opened(storage)
    for _ in range(5):
        now[0] += 100
        journal.write([], [])
    journal.close()
    assert writes(storage) == []


@pytest.mark.spec("LL-56")
def test_uses_of_all_processes_are_put_together_and_move_forward_only(storage: MoodyStorage) -> None:
    first, second, third = opened(storage), opened(storage), opened(storage)
    first.write([Use("k", 1, 2, NOW, NOW + 5), Use("k", 2, 1, NOW, NOW)], [])
    second.write([Use("k", 1, 3, NOW - 9, NOW + 1), Use("other", 1, 1, NOW, NOW)], [])
    first.close()
    second.close()
    third.write([Use("k", 1, 1, NOW + 2, NOW + 2)], [])
    expected = {("k", 1): Use("k", 1, 6, NOW - 9, NOW + 5), ("k", 2): Use("k", 2, 1, NOW, NOW)}
    assert third.uses(["k"]) == expected
    assert third.uses(["k"]) == expected, "and again, from what was remembered"
    assert third.uses(["none"]) == {}
    assert opened(storage).uses(["k"])["k", 1].uses == 5


@pytest.mark.spec("LL-56")
def test_what_ended_processes_wrote_is_put_together_now_and_then(
    storage: MoodyStorage, tmp_path: Path, now: list[float]
) -> None:
    def ended() -> None:
        journal = opened(storage)
        journal.write([Use("k", 1, 1, NOW, NOW)], [])
        journal.close()

    for _ in range(LEAST):
        ended()
    for path in (tmp_path / "usage").iterdir():
        os.utime(path, (0, 0))
    running = opened(storage)
    for _ in range(2):
        running.write([Use("k", 1, 1, NOW, NOW)], [])
        now[0] += 60
    running.write([], [])
    assert [path.name for path in (tmp_path / "usage").glob("merged-*")] == [f"merged-{1:020d}.json"]
    assert running.uses(["k"])["k", 1].uses == LEAST + 2
    storage.asked.clear()
    running.write([Use("k", 1, 1, NOW, NOW)], [])
    now[0] += 60
    running.write([], [])
    assert [what for what, _ in storage.asked] == ["replace"], "once an hour is often enough"


def test_refusals_of_all_processes_come_in_order_and_in_pages(storage: MoodyStorage) -> None:
    first, second = opened(storage), opened(storage)
    first.write([], [refusal(NOW - 1), refusal(NOW - 1, tenant="u"), refusal(NOW - 3)])
    first.close()
    second.write([], [refusal(NOW - 2)])
    found = second.refusals(after=0, most=10, tenant=None)
    assert [one.at - NOW for _, one in found] == [-3, -2, -1, -1]
    serials = [serial for serial, _ in found]
    assert sorted({*serials}) == serials
    assert second.refusals(after=serials[1], most=1, tenant=None) == found[2:3]
    assert [one.tenant for _, one in second.refusals(after=0, most=9, tenant="u")] == ["u"]


def test_refusals_are_kept_for_thirty_days(storage: MoodyStorage) -> None:
    clock = FixedClock()
    journal = opened(storage, clock)
    journal.write([], [refusal(NOW)])
    clock.advance(DENIALS_KEPT_SECONDS - 1)
    assert len(journal.refusals(after=0, most=9, tenant=None)) == 1
    clock.advance(2)
    assert journal.refusals(after=0, most=9, tenant=None) == []


def test_refusals_fill_one_object_after_the_other_and_the_oldest_go(
    storage: MoodyStorage, tmp_path: Path, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "PART", 2)
    monkeypatch.setattr(journal_module, "PARTS_KEPT", 3)
    journal = opened(storage)
    for number in range(12):
        journal.write([], [refusal(NOW + number)])
        now[0] += 100
    journal.close()
    kept = [one.at - NOW for _, one in opened(storage).refusals(after=0, most=99, tenant=None)]
    assert kept[-1] == 11
    assert len(kept) <= 8
    assert kept == sorted(kept)
    assert len([path for path in Files(tmp_path).all() if path.parent.name == "denials"]) <= 4


def test_notes_outlive_a_storage_that_fails(storage: MoodyStorage, now: list[float]) -> None:
    journal = opened(storage)
    journal.write([Use("k", 1, 1, NOW, NOW)], [refusal(NOW)])
    storage.cut()
    now[0] += 60
    with pytest.raises(Unavailable):
        journal.write([Use("k", 1, 1, NOW, NOW)], [])
    storage.mend()
    # Whoever was refused gives it again.
    journal.write([Use("k", 1, 1, NOW, NOW)], [])
    journal.close()
    assert opened(storage).uses(["k"])["k", 1].uses == 2
    assert len(opened(storage).refusals(after=0, most=9, tenant=None)) == 1


def test_an_object_that_is_no_notes_is_passed_over(storage: MoodyStorage, tmp_path: Path) -> None:
    (tmp_path / "usage").mkdir()
    (tmp_path / "usage" / "spoilt.json").write_text("[1")
    journal = opened(storage)
    journal.write([Use("k", 1, 1, NOW, NOW)], [])
    assert journal.uses(["k"])["k", 1].uses == 1


def test_no_node_is_registered_so_a_change_waits_for_all_of_the_bound_or_not_at_all(
    storage: MoodyStorage,
) -> None:
    journal = opened(storage)
    journal.renew(Node("n", 1, b"", steady()))
    assert journal.nodes() == ()
    begun = steady()
    assert not nodes.wait_until_passed(journal, 1, committed_at=begun, max_stale=30, within=5)
    assert steady() - begun < 5, "who does not wait is not kept"
    assert not nodes.wait_until_passed(journal, 1, committed_at=begun - 0.9, max_stale=1)
    assert steady() - begun >= 0.1, "who waits, waits for all of it"


@pytest.mark.spec("UG-26")
def test_addresses_of_all_processes_are_put_together_and_old_ones_are_not_written(
    storage: MoodyStorage,
) -> None:
    first, second = opened(storage), opened(storage)
    long_ago = NOW - ADDRESSES_KEPT_SECONDS
    first.write([Use("k", 1, 2, long_ago, NOW, {"192.0.2.1": NOW - 5, "192.0.2.9": long_ago})], [])
    first.close()
    second.write([Use("k", 1, 1, NOW, NOW, {"192.0.2.1": NOW, "192.0.2.2": NOW - 9})], [])
    assert second.uses(["k"])["k", 1].seen == {"192.0.2.1": NOW, "192.0.2.2": NOW - 9}
