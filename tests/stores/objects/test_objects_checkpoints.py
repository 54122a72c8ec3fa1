"""A start reads one checkpoint and a short tail; a bad checkpoint is passed over, a bad tail is not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from objects_bed import BY, Files, MoodyStorage, Node, founded, verdict

from keyrack import Verifier
from keyrack.admin.peppering import rotate
from keyrack.core.errors import ConfigurationError, Corrupted, Tampered
from keyrack.core.peppers import Peppers
from keyrack.stores.objects import checkpoints
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.envelope import seal_document
from keyrack.stores.objects.paths import Place, number_of, path_of
from keyrack.stores.protocols import Excerpt, Kind, Listing
from keyrack.testing import PEPPERS
from keyrack.testing.samples import state_of

NEW = "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"


@pytest.fixture(autouse=True)
def every_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint behind every third commit."""
    monkeypatch.setattr(checkpoints, "EVERY", 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of eleven commits with checkpoints behind the third, sixth and ninth."""
    root = tmp_path / "keys"
    founded(root).stores.close()
    last = [mint_alone(root) for _ in range(9)][-1]
    node = Node(Directory(root))
    node.issuer.revoke(last, by=BY)
    node.stores.close()
    return root


def mint_alone(root: Path) -> str:
    """Mint in a process of its own, so that what comes behind a commit is done before the next one."""
    node = Node(Directory(root))
    key_id, _ = node.mint()
    node.stores.close()
    return key_id


@pytest.fixture
def files(root: Path) -> Files:
    return Files(root)


@pytest.fixture
def whole(root: Path, files: Files) -> Node:
    """A node that read the log from its beginning."""
    kept = {path: path.read_bytes() for path in (root / "checkpoint").iterdir()}
    for path in kept:
        path.unlink()
    node = Node(Directory(root))
    node.follower.load()
    for path, data in kept.items():
        files.put(path, data)
    return node


def read_by(root: Path) -> tuple[Node, list[str]]:
    """A node that has just loaded, and the objects that it got."""
    storage = MoodyStorage(Directory(root))
    node = Node(storage)
    node.follower.load()
    return node, [path for what, path in storage.asked if what == "get"]


def checkpoints_in(paths: list[str]) -> list[int | None]:
    """The numbers of the checkpoints among these objects."""
    return [number_of(path) for path in paths if path.startswith(Place.CHECKPOINT.folder)]


@pytest.mark.spec("LL-46", "LL-51")
def test_a_start_reads_the_newest_checkpoint_and_the_commits_behind_it(root: Path, whole: Node) -> None:
    node, got = read_by(root)
    pages = json.loads(Files(root).checkpoint(9).read_bytes())["pages"]
    names = [path_of(Place.PAGE, name) for kind in ("records", "entries") for name in pages[kind]]
    tail = [path_of(Place.LOG, number) for number in (9, 10, 11)]
    assert got[:6] == [path_of(Place.CHECKPOINT, 9), *names, *tail]
    # The next number, and the event that says how stale a node may be, which is the first.
    assert set(got[6:]) == {path_of(Place.LOG, 12), path_of(Place.LOG, 1)}
    assert state_of(node.keys) == state_of(whole.keys)


def test_what_is_answered_from_a_checkpoint_is_what_the_whole_log_answers(root: Path, whole: Node) -> None:
    node, _ = read_by(root)
    everything = Excerpt(most=100)
    assert node.keys.entries(everything) == whole.keys.entries(everything)
    assert len(node.keys.entries(everything)) == 12
    assert node.keys.since(0, 100) == whole.keys.since(0, 100)
    assert node.keys.records(Listing(most=100)) == whole.keys.records(Listing(most=100))
    assert list(node.keys.peppers_in_use()) == list(whole.keys.peppers_in_use())
    subject = node.keys.records(Listing(most=100))[-1].id
    about = Excerpt(subject=subject)
    assert [entry.number for entry in node.keys.entries(about)] == [11, 12]
    assert node.keys.entries(about) == whole.keys.entries(about)


@pytest.mark.spec("LL-51")
def test_what_was_made_before_a_restart_is_decided_on_after_it(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/keys"
    with Verifier.open(url, peppers=PEPPERS, create=True) as verifier:
        texts = [Node(Directory(tmp_path / "keys")).mint(f"n{number}")[1] for number in range(5)]
    with Verifier.open(url, peppers=PEPPERS) as verifier:
        assert [verdict(verifier, text) for text in texts] == ["ok"] * 5


def test_the_oldest_checkpoints_are_taken_away(root: Path) -> None:
    for _ in range(10):
        mint_alone(root)
    names = sorted(path.name for path in (root / "checkpoint").iterdir())
    assert names == [f"{number:020d}.json" for number in (15, 18, 21)]


@pytest.mark.spec("LL-55")
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 500])
def test_a_bad_checkpoint_falls_back_to_the_one_before(
    files: Files, whole: Node, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    files.put(files.checkpoint(9), data)
    with caplog.at_level(logging.ERROR, "keyrack.stores.objects"):
        node, got = read_by(files.root)
    assert checkpoints_in(got) == [9, 6]
    assert path_of(Place.CHECKPOINT, 9) in caplog.text
    assert state_of(node.keys) == state_of(whole.keys)


@pytest.mark.spec("LL-48", "LL-55")
def test_a_checkpoint_that_was_altered_or_moved_is_a_bad_one(files: Files, whole: Node) -> None:
    good = files.checkpoint(9).read_bytes()
    files.put(files.checkpoint(9), good.replace(b"a:b", b"*:*", 1))
    files.put(files.checkpoint(6), good)
    node, got = read_by(files.root)
    assert checkpoints_in(got) == [9, 6, 3]
    assert state_of(node.keys) == state_of(whole.keys)


@pytest.mark.spec("LL-48")
def test_a_checkpoint_that_ends_before_its_commit_is_refused(files: Files) -> None:
    """As somebody with an old pepper would seal one, to bring back what was revoked since."""
    earlier, later = (json.loads(files.checkpoint(number).read_bytes()) for number in (6, 9))
    members = {name: value for name, value in later.items() if name not in ("pepper", "check", "mac")}
    path = path_of(Place.CHECKPOINT, 9)
    forged = seal_document(path, {**members, "last": earlier["last"]}, Peppers.parse(PEPPERS).first)
    files.put(files.checkpoint(9), forged)
    with pytest.raises(Corrupted, match=path):
        read_by(files.root)


@pytest.mark.spec("LL-55")
def test_without_any_good_checkpoint_the_whole_log_is_read(files: Files, whole: Node) -> None:
    for number in (3, 6, 9):
        files.put(files.checkpoint(number), b"spoilt")
    assert state_of(read_by(files.root)[0].keys) == state_of(whole.keys)


@pytest.mark.spec("LL-48")
def test_a_log_that_ends_before_its_checkpoint_was_put_back(files: Files) -> None:
    for number in (9, 10, 11):
        files.commit(number).unlink()
    with pytest.raises(Tampered, match=path_of(Place.LOG, 9)):
        read_by(files.root)


@pytest.mark.spec("LL-55")
def test_a_gap_behind_the_checkpoint_is_named(files: Files) -> None:
    files.commit(10).unlink()
    with pytest.raises(Corrupted, match=path_of(Place.LOG, 10)):
        read_by(files.root)


def test_a_checkpoint_that_cannot_be_written_fails_no_commit(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = MoodyStorage(Directory(root))
    node = Node(storage)
    storage.refuses = {("put", "checkpoint")}
    with caplog.at_level(logging.WARNING, "keyrack.stores.objects"):
        made = [node.mint()[0] for _ in range(3)]
        node.stores.close()
    assert "a checkpoint could not be written" in caplog.text
    assert [one for one in made if read_by(root)[0].keys.record(Kind.KEY, one) is None] == []


class TestPeppers:
    """A new first pepper takes over, and the log needs nothing of the old one any more."""

    @pytest.fixture
    def rotated(self, root: Path) -> Iterator[Node]:
        node = Node(Directory(root), peppers=f"{NEW},{PEPPERS}")
        done = rotate(node.stores, by=BY)
        assert done.resealed == 10
        node.stores.close()
        return node

    def test_records_under_the_old_pepper_are_sealed_anew_and_it_can_be_taken_away(
        self, root: Path, rotated: Node
    ) -> None:
        node = Node(Directory(root), peppers=NEW)
        # Digests of secrets that were not used since still need it; the log and the records do not.
        with pytest.raises(ConfigurationError, match="'p1'"):
            node.follower.load()
        assert {record.pepper for record in node.keys.records(Listing(most=100))} == {"p2"}
        assert len(node.keys.entries(Excerpt(most=100))) == 13

    def test_a_checkpoint_follows_a_rotation_at_once(
        self, root: Path, files: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoints, "EVERY", 1000)
        node = Node(Directory(root), peppers=f"{NEW},{PEPPERS}")
        rotate(node.stores, by=BY)
        node.stores.close()
        newest = max((root / "checkpoint").iterdir())
        assert newest == files.checkpoint(13), "of the commit that rotated"
        assert json.loads(newest.read_bytes())["pepper"] == "p2"

    def test_a_node_that_runs_meanwhile_follows_on(self, root: Path) -> None:
        other = Node(Directory(root), peppers=f"{PEPPERS},{NEW}")
        other.follower.load()
        node = Node(Directory(root), peppers=f"{NEW},{PEPPERS}")
        rotate(node.stores, by=BY)
        node.mint()
        last = node.keys.last()
        assert other.follower.poll(), other.follower.trouble
        assert last is not None
        assert other.follower.replica.head.number == last.number
        node.stores.close()
