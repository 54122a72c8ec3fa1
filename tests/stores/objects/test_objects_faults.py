"""A storage that fails, hangs or succeeds without an answer: what is not durable is not believed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from objects_bed import BY, Files, MoodyStorage, Node, founded, verdict
from patience import soon

from keyrack import Unavailable, Verifier, Wish
from keyrack.core.errors import Conflict
from keyrack.core.model import Reason
from keyrack.idempotency import Once
from keyrack.stores.objects import state
from keyrack.stores.objects.bucket import Bucket
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.protocols import Batch, Excerpt, Kind, Listing, View

PUT, GET = ("put", "log"), ("get", "log")
LOWEST_MAX_STALE = 15.0
"""Seconds; what the log lake lowers it to."""


@pytest.fixture
def storage(tmp_path: Path) -> MoodyStorage:
    founded(tmp_path / "keys").stores.close()
    return MoodyStorage(Directory(tmp_path / "keys"))


@pytest.fixture
def node(storage: MoodyStorage) -> Iterator[Node]:
    made = Node(storage)
    made.follower.load()
    yield made
    storage.mend()
    made.stores.close()


def stored(node: Node) -> int:
    """How many keys another process finds."""
    return len(node.keys.records(Listing()))


@pytest.mark.spec("LL-49")
def test_a_key_that_could_not_be_stored_is_not_there(storage: MoodyStorage, node: Node) -> None:
    storage.refuses = {PUT}
    with pytest.raises(Unavailable):
        node.mint()
    storage.mend()
    assert node.follower.poll()
    assert (stored(node), len(node.follower.replica)) == (0, 0)


@pytest.mark.spec("LL-49")
def test_a_commit_that_was_stored_without_an_answer_is_found_by_its_operation(
    storage: MoodyStorage, node: Node
) -> None:
    storage.silent = {PUT}
    key_id, _ = node.mint()
    assert node.keys.record(Kind.KEY, key_id) is not None
    assert stored(node) == 1, "it was not written again"


@pytest.mark.spec("LL-49")
def test_a_commit_whose_result_nobody_knows_is_refused_and_found_out_by_a_retry(
    storage: MoodyStorage, node: Node
) -> None:
    once, wish = Once("header", b"body"), Wish("n", scopes=("a:b",))
    storage.last = {PUT}
    with pytest.raises(Unavailable):
        node.issuer.mint(wish, by=BY, once=once)
    storage.mend()
    again = node.issuer.mint(wish, by=BY, once=once)
    assert again.secret is None, "the first call was done, and its secret is shown to nobody"
    assert stored(node) == 1


@pytest.mark.spec("LL-49")
@pytest.mark.parametrize("what", [("get", "log"), ("tag", "log"), PUT])
def test_a_storage_that_fails_at_any_step_writes_nothing(
    storage: MoodyStorage, node: Node, what: tuple[str, str]
) -> None:
    before = node.keys.last()
    storage.refuses = {what}
    with pytest.raises(Unavailable):
        node.mint()
    storage.mend()
    assert node.keys.last() == before
    node.mint()
    assert stored(node) == 1


def test_a_write_that_is_refused_although_nothing_is_there_is_tried_again(
    storage: MoodyStorage, node: Node
) -> None:
    """S3 answers so (409) when two write at the same time, whether one of them wins or none."""

    def conflicting(path: str, data: bytes) -> None:
        storage.put = put

    put, storage.put = storage.put, conflicting
    node.mint()
    assert stored(node) == 1


def test_who_was_slower_than_another_writer_makes_his_change_behind_it(
    storage: MoodyStorage, node: Node, tmp_path: Path
) -> None:
    other = Node(Directory(tmp_path / "keys"))
    other.mint("n")

    def late(path: str, data: bytes) -> str | None:
        storage.put = put
        other.mint("between")
        return put(path, data)

    put, storage.put = storage.put, late
    node.mint("n")
    other.stores.close()
    assert [entry.number for entry in node.keys.entries(Excerpt(after=2))] == [3, 4, 5]
    assert [record.name for record in node.keys.records(Listing())] == ["n", "between", "n"]


def test_what_a_plan_reads_through_its_store_is_what_it_sees(node: Node, tmp_path: Path) -> None:
    """Whoever plans looks at the store for what the view does not show; nothing may move in between."""
    other = Node(Directory(tmp_path / "keys"))
    seen = []

    def plan(view: View) -> Batch:
        if not seen:
            other.mint("meanwhile")
        seen.append((view.last(), node.keys.last()))
        return Batch((), (), ())

    node.keys.commit(plan)
    other.stores.close()
    assert [one == two for one, two in seen] == [True]
    assert node.keys.last() != seen[0][0], "and afterwards the store has moved on"


@pytest.mark.spec("LL-50")
def test_a_revocation_that_was_not_stored_changes_nothing_and_one_that_was_is_final(
    storage: MoodyStorage, node: Node, tmp_path: Path
) -> None:
    key_id, _ = node.mint()
    storage.refuses = {PUT}
    with pytest.raises(Unavailable):
        node.issuer.revoke(key_id, by=BY)
    storage.mend()
    assert node.issuer.get(key_id, by=BY).revoked_at is None
    node.issuer.revoke(key_id, by=BY)
    other = Node(Directory(tmp_path / "keys"))
    with pytest.raises(Conflict):
        other.issuer.enable(key_id, by=BY)
    with pytest.raises(Conflict):
        other.issuer.rotate(key_id, by=BY)
    other.stores.close()


@pytest.mark.spec("LL-54")
def test_a_node_whose_storage_is_cut_serves_until_the_bound_and_then_nothing(
    storage: MoodyStorage, node: Node
) -> None:
    assert node.follower.poll()
    storage.cut()
    assert not node.follower.poll()
    assert node.follower.doubt() is None
    node.follower.confirmed_at -= node.follower.max_stale + 1
    assert node.follower.doubt() is Reason.STALE
    storage.mend()
    assert node.follower.poll()
    assert node.follower.doubt() is None


@pytest.mark.spec("LL-53")
def test_decisions_go_on_while_the_storage_blocks(storage: MoodyStorage, node: Node) -> None:
    """Whoever decides waits for no lock that a storage call is made under: all decisions are made
    before the storage answers. Each is measured by what it cost this thread, not by a busy machine."""
    _, text = node.mint()
    verifier = Verifier(node.stores, poll=0.05)
    verifier.start()
    answered = threading.Event()
    try:
        storage.holds = {(what, "log"): answered for what in ("get", "tag", "put")}
        with ThreadPoolExecutor() as pool:
            minting = pool.submit(node.mint)
            costs = [_cost(verifier, text) for _ in range(1000)]
            assert not minting.done()
            answered.set()
            with pytest.raises(Unavailable):
                minting.result()
    finally:
        answered.set()
        storage.mend()
        verifier.close()
    assert max(costs) < 0.05


def _cost(verifier: Verifier, text: str) -> float:
    begun = time.thread_time()
    assert verdict(verifier, text) == "ok"
    return time.thread_time() - begun


def test_each_new_commit_is_read_once(storage: MoodyStorage, node: Node, tmp_path: Path) -> None:
    other = Node(Directory(tmp_path / "keys"))
    for _ in range(5):
        other.mint()
    other.stores.close()
    storage.asked.clear()
    assert node.follower.poll()
    read = [path for what, path in storage.asked if what == "get"]
    assert len(read) == len({*read}) + 1, "and the number after it twice: when it was read, and when applied"
    assert len({*read}) == 6


def test_entries_that_are_not_kept_in_memory_are_read_from_their_commits(
    storage: MoodyStorage, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RECENT", 2)
    for _ in range(5):
        node.mint()
    storage.asked.clear()
    found = node.keys.entries(Excerpt(after=2))
    assert [entry.number for entry in found] == [3, 4, 5, 6, 7]
    again = [path for what, path in storage.asked if what == "get"]
    assert sorted(again) == [path_of(Place.LOG, number) for number in (2, 3, 4, 7)], "three, and the next one"


@pytest.mark.spec("LL-52")
def test_a_poll_asks_as_much_of_the_storage_whatever_the_number_of_keys(
    storage: MoodyStorage, node: Node
) -> None:
    counts = []
    for more in (10, 500):
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(node.mint, map(str, range(more))))
        assert node.follower.poll()
        storage.asked.clear()
        assert node.follower.poll()
        # Documents of keys may still be written behind.
        reads = [(what, path.partition("/")[0]) for what, path in storage.asked if what != "replace"]
        counts.append(reads)
    assert counts[0] == counts[1] == [("get", "log"), ("tag", "log"), ("list", "log")]


def test_a_bucket_that_never_answers_is_given_up_below_a_third_of_the_staleness_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for name, value in {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        bucket = Bucket("s3://bucket/prefix")
        calls = [lambda: bucket.get("log/a"), lambda: bucket.put("log/a", b"x"), lambda: bucket.list("log/")]

        def longest() -> float:
            with ThreadPoolExecutor() as pool:
                return max(pool.map(_seconds_until_refused, calls))

        soon(longest, within=LOWEST_MAX_STALE / 3)


def _seconds_until_refused(call: object) -> float:
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        call()
    return time.monotonic() - begun


def test_everything_that_was_written_is_what_was_committed(node: Node, tmp_path: Path) -> None:
    """No draft, no half object and no stray file is left beside the log."""
    for _ in range(3):
        node.mint()
    node.keys.close()
    names = {path.relative_to(tmp_path / "keys").parts[0] for path in Files(tmp_path / "keys").all()}
    assert names == {"log", ".settings"}
    assert not [path for path in (tmp_path / "keys" / "log").iterdir() if path.name.startswith(".")]
