"""Many at once on one store: threads of one process, several nodes, and several processes."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from engine_bed import OPERATOR, STORES, Bed, opened, refusal

from keyrack import Access, Allowed, Issuer, Verifier, Wish
from keyrack.admin.founding import found
from keyrack.core.events import EMPTY, Head, open_entry
from keyrack.core.model import Limit, Reason
from keyrack.core.peppers import Peppers
from keyrack.key_changes import Minted
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.follower import Follower
from keyrack.stores.journal import MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Kind, Snapshot
from keyrack.stores.urls import open_stores
from keyrack.testing import PEPPERS, FixedClock
from keyrack.testing.samples import at_once

spawned = multiprocessing.get_context("spawn")


def tried(work: Callable[[], object], codes: list[str | None]) -> None:
    codes.append(refusal(work))


def walked(bed: Bed) -> Head:
    """The head of the log, each entry of which has to stand behind the one before it."""
    head = EMPTY
    while entries := bed.stores.keys.entries(Excerpt(after=head.number, most=1000)):
        for entry in entries:
            _, head = open_entry(entry, bed.stores.peppers, after=head)
    return head


OpenNode = Callable[[], AbstractContextManager[Bed]]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_node(request: pytest.FixtureRequest, tmp_path: Path) -> OpenNode:
    """Opens one Verifier more on the one store of a test, as a process of its own would."""
    if request.param == "sqlite":
        return partial(opened, "sqlite", folder=tmp_path)
    return partial(opened, request.getfixturevalue("postgresql_url"))


def test_of_two_rotations_at_once_one_wins_and_both_secrets_are_known(bed: Bed) -> None:
    for _ in range(5):
        minted, old = bed.mint("a:b")
        codes: list[str | None] = []
        at_once([partial(tried, partial(bed.issuer.rotate, minted.key.id, by=OPERATOR), codes)] * 4)
        assert Counter(codes) == {None: 1, "rotation_active": 3}
        key = bed.issuer.get(minted.key.id, by=OPERATOR)
        assert [version.number for version in key.versions] == [1, 2]
        assert bed.verdict(old) == "ok"


def test_forced_rotations_at_once_leave_five_live_secrets_at_most(bed: Bed) -> None:
    minted, _ = bed.mint("a:b")
    codes: list[str | None] = []
    at_once([partial(tried, partial(bed.issuer.rotate, minted.key.id, by=OPERATOR, force=True), codes)] * 8)
    assert Counter(codes) == {None: 4, "version_limit": 4}
    key = bed.issuer.get(minted.key.id, by=OPERATOR)
    assert [version.number for version in key.versions] == [1, 2, 3, 4, 5]
    assert len([version for version in key.versions if version.not_after is None]) == 1


def test_a_rotation_and_a_revocation_at_once_end_revoked_with_no_secret_that_passes(bed: Bed) -> None:
    for _ in range(8):
        minted, old = bed.mint("a:b")
        rotated: list[Minted] = []
        rotate = partial(bed.issuer.rotate, minted.key.id, by=OPERATOR)
        revoke = partial(bed.issuer.revoke, minted.key.id, by=OPERATOR)
        codes: list[str | None] = []
        at_once([partial(tried, lambda: rotated.append(rotate()), codes), partial(tried, revoke, codes)])  # noqa: B023
        assert Counter(codes) in ({None: 2}, {None: 1, "key_revoked": 1})
        assert {bed.verdict(text) for text in (old, *(str(one.secret) for one in rotated))} == {"revoked"}


@pytest.mark.parametrize("ending", ["disable", "revoke"])
def test_once_a_key_is_stopped_no_thread_passes_it_any_more(bed: Bed, ending: str) -> None:
    for _ in range(5):
        assert passed_late(bed, ending) == []


def passed_late(bed: Bed, ending: str) -> list[str]:
    """Readers decide all the time; what they let pass after the call that stops the key has returned."""
    minted, text = bed.mint("a:b")
    over, done = threading.Event(), threading.Event()
    late: list[str] = []

    def read() -> None:
        while not done.is_set():
            was_over = over.is_set()
            if bed.verdict(text) == "ok" and was_over:
                late.append(text)

    def stop() -> None:
        getattr(bed.issuer, ending)(minted.key.id, by=OPERATOR)
        over.set()
        for _ in range(200):
            bed.verdict("x")
        done.set()

    at_once([read, read, read, stop])
    return late


def test_once_a_waiting_revocation_has_returned_no_node_passes_the_key(open_node: OpenNode) -> None:
    with ExitStack() as stack:
        here, *others = [stack.enter_context(open_node()) for _ in range(3)]
        for _ in range(5):
            minted, text = here.mint("a:b")
            for other in others:
                other.verifier.follower.poll()
                assert other.verdict(text) == "ok"
            here.issuer.revoke(minted.key.id, by=OPERATOR, wait=True)
            assert [node.verdict(text) for node in (here, *others)] == ["revoked"] * 3


def test_a_hundred_mints_at_once_are_all_durable_and_chained(open_node: OpenNode) -> None:
    with open_node() as bed:
        before = walked(bed).number
        texts: list[str] = []
        at_once([lambda: texts.append(bed.mint("a:b")[1])] * 100)
        assert len(set(texts)) == 100
        assert walked(bed).number == before + 100
    with open_node() as again:
        assert [again.verdict(text, "a:b") for text in texts] == ["ok"] * 100


def test_a_limit_is_never_overspent_by_many_threads(memory: Bed) -> None:
    _, text = memory.mint("a:b", limits=[Limit("m", 50, 60)])
    verdicts: list[str] = []
    at_once([lambda: verdicts.extend(memory.verdict(text) for _ in range(20))] * 8)
    assert Counter(verdicts) == {"ok": 50, "rate": 110}


@pytest.mark.parametrize("store", STORES)
def test_of_many_at_once_one_gets_a_unique_name(store: str) -> None:
    with opened(store) as bed:
        codes: list[str | None] = []
        at_once([partial(tried, partial(bed.mint, name="only", unique="tenant"), codes)] * 10)
        assert Counter(codes) == {None: 1, "name_taken": 9}


def work(url: str, start: object, key_id: str, report: object) -> None:
    """A process: mints, a unique name, and changes of one key, all while others do the same."""
    stores = open_stores(url, peppers=PEPPERS)
    issuer = Issuer(stores)
    start.wait()
    texts = [str(issuer.mint(Wish("n", scopes=["a:b"]), by=OPERATOR).secret) for _ in range(10)]
    unique = refusal(issuer.mint, Wish("only", unique="tenant"), by=OPERATOR)
    rotated = [refusal(issuer.rotate, key_id, by=OPERATOR, force=True) for _ in range(3)]
    report.put((texts, unique, rotated))
    stores.close()


def test_several_processes_write_one_store(open_node: OpenNode) -> None:
    count = 4
    with open_node() as bed:
        minted, _ = bed.mint("a:b")
        start, reports = spawned.Barrier(count), spawned.Queue()
        arguments = (bed.stores.url, start, minted.key.id, reports)
        processes = [spawned.Process(target=work, args=arguments) for _ in range(count)]
        for process in processes:
            process.start()
        found = [reports.get(timeout=120) for _ in processes]
        for process in processes:
            process.join()
        bed.verifier.follower.poll()
        texts = [text for report in found for text in report[0]]
        assert [bed.verdict(text, "a:b") for text in texts] == ["ok"] * count * 10
        assert Counter(report[1] for report in found) == {None: 1, "name_taken": count - 1}
        codes = Counter(code for report in found for code in report[2])
        assert codes == {None: 4, "version_limit": count * 3 - 4}
        assert walked(bed).number == bed.verifier.follower.replica.head.number
    with open_node() as again:
        assert {again.verdict(text) for text in texts} == {"ok"}


class PausingKeys(MemoryKeys):
    """Lets somebody else in while a snapshot is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with super().snapshot() as snapshot:
            self.meanwhile()
            yield snapshot


def test_a_key_that_is_revoked_while_a_replica_loads_is_revoked_after_the_first_poll() -> None:
    keys, peppers = PausingKeys(), Peppers.parse(PEPPERS)
    stores = Stores("memory:", keys, MemoryJournal(), MemoryCounters(), peppers, FixedClock())
    found(stores)
    issuer = Issuer(stores)
    minted = issuer.mint(Wish("n"), by=OPERATOR)
    keys.meanwhile = partial(issuer.revoke, minted.key.id, by=OPERATOR)
    follower = Follower(keys, peppers)
    follower.load()
    assert follower.poll()
    record = keys.record(Kind.KEY, minted.key.id)
    assert record is not None
    assert follower.replica.head.number == record.revision
    with Verifier(stores) as verifier:
        verifier.start()
        decision = verifier.verify(str(minted.secret), Access())
        assert not isinstance(decision, Allowed)
        assert decision.reason is Reason.REVOKED


def test_compromised_rotations_at_once_leave_exactly_one_secret(bed: Bed) -> None:
    minted, old = bed.mint("a:b")
    texts = [old]

    def rotate() -> None:
        rotated = bed.issuer.rotate(minted.key.id, by=OPERATOR, grace=timedelta(0), compromised=True)
        texts.append(str(rotated.secret))

    at_once([rotate] * 5)
    assert Counter(bed.verdict(text) for text in texts) == {"ok": 1, "retired": 5}
