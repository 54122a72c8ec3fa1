"""Whoever can write to the bucket and has no pepper forges nothing: the node refuses and names the object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from objects_bed import Files, Node, founded

from keyrack import Verifier
from keyrack.core.errors import Corrupted, KeyrackError, Tampered
from keyrack.core.model import Reason
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.envelope import seal_document
from keyrack.stores.objects.paths import Place, path_of
from keyrack.testing import PEPPERS

FOREIGN = "p1:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ"
READ, FIRST, SECOND, THIRD = 2, 3, 4, 5
"""The last commit that the node had read, and those that were altered before it read on."""


def changed(files: Files) -> None:
    data = files.commit(SECOND).read_bytes()
    files.put(files.commit(SECOND), data.replace(b"key.minted", b"key.mintee", 1))


def renamed(files: Files) -> None:
    """The column by which names are found unique, which is outside the record's own bytes."""
    data = files.commit(SECOND).read_bytes()
    files.put(files.commit(SECOND), data.replace(b'"name":"second"', b'"name":"sekond"', 1))


def dropped(files: Files) -> None:
    files.commit(SECOND).unlink()


def swapped(files: Files) -> None:
    second, third = files.commit(SECOND).read_bytes(), files.commit(THIRD).read_bytes()
    files.put(files.commit(SECOND), third)
    files.put(files.commit(THIRD), second)


def replayed(files: Files) -> None:
    files.put(files.commit(SECOND), files.commit(FIRST).read_bytes())


def forged(files: Files) -> None:
    """Written anew under a pepper of one's own that claims to be the store's."""
    genuine = json.loads(files.commit(SECOND).read_bytes())
    members = {name: value for name, value in genuine.items() if name not in ("pepper", "check", "mac")}
    path = path_of(Place.LOG, SECOND)
    data = seal_document(path, members, Peppers.parse(FOREIGN).first)
    own = Peppers.parse(FOREIGN).first.check.encode()
    files.put(files.commit(SECOND), data.replace(own, str(genuine["check"]).encode()))


def from_another_store(files: Files) -> None:
    """Genuine, under the same pepper and number, but of a store with another history."""
    other = Files(files.root.with_name("other"))
    node = founded(other.root)
    for name in ("a", "b", "c", "d"):
        node.mint(name)
    node.stores.close()
    files.put(files.commit(SECOND), other.commit(SECOND).read_bytes())


def cut_short(files: Files) -> None:
    files.put(files.commit(SECOND), files.commit(SECOND).read_bytes()[:-100])


def emptied(files: Files) -> None:
    files.put(files.commit(SECOND), b"")


def spoilt(files: Files) -> None:
    files.put(files.commit(SECOND), b"\xff\xfe this is nothing")


def another_form(files: Files) -> None:
    files.put(files.commit(SECOND), b"[" * 80 + b"]" * 80)


def of_a_later_format(files: Files) -> None:
    data = files.commit(SECOND).read_bytes()
    files.put(files.commit(SECOND), data.replace(b'"format":1', b'"format":2', 1))


WAYS = [
    changed,
    renamed,
    dropped,
    swapped,
    replayed,
    forged,
    from_another_store,
    cut_short,
    emptied,
    spoilt,
    another_form,
    of_a_later_format,
]


class World:
    """A node that has read a store up to a commit, and three more behind it."""

    def __init__(self, root: Path, max_keys: int | None):
        self.files = Files(root)
        self.writer = founded(root)
        self.writer.mint("first")
        self.node = Node(Directory(root), max_keys=max_keys)
        self.node.follower.load()
        for name in ("one", "second", "three"):
            self.writer.mint(name)


@pytest.fixture(params=[None, 1], ids=["whole", "partial"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path / "keys", request.param)
    yield made
    made.node.keys.close()
    made.writer.keys.close()


@pytest.mark.spec("LL-48", "LL-55")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_node_stops_following_at_an_altered_commit_and_names_it(
    world: World, way: Callable[[Files], None]
) -> None:
    path = world.files.commit(SECOND)
    genuine = {one: one.read_bytes() for one in world.files.commits()}
    way(world.files)
    follower = world.node.follower
    assert not follower.poll()
    assert follower.polls["failed"] == 1
    assert path_of(Place.LOG, SECOND) in str(follower.trouble)
    assert follower.replica.head.number == READ + 1, "nothing behind it was believed"
    assert follower.doubt() is None, "it serves until the staleness bound"
    follower.confirmed_at -= follower.max_stale + 1
    assert follower.doubt() is Reason.STALE
    for one, data in genuine.items():
        world.files.put(one, data)
    assert path.exists()
    assert follower.poll(), "mended, it goes on"
    assert follower.doubt() is None


@pytest.mark.spec("LL-48", "LL-55")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_node_starts_on_an_altered_commit(world: World, way: Callable[[Files], None]) -> None:
    way(world.files)
    with pytest.raises(KeyrackError) as refused:
        Verifier.open(f"file://{world.files.root}", peppers=PEPPERS)
    assert path_of(Place.LOG, SECOND) in refused.value.detail


@pytest.mark.spec("LL-48")
def test_a_writer_builds_nothing_on_an_altered_commit(world: World) -> None:
    before = world.files.commits()
    changed(world.files)
    with pytest.raises(Corrupted):
        world.node.mint("n")
    assert world.files.commits() == before


@pytest.mark.spec("LL-48")
@pytest.mark.parametrize("with_later", [False, True])
def test_a_node_that_saw_more_refuses_a_store_that_was_put_back(world: World, with_later: bool) -> None:
    follower = world.node.follower
    assert follower.poll()
    world.files.commit(THIRD).unlink()
    if with_later:
        # Somebody who has the pepper went on from the earlier state.
        Node(Directory(world.files.root)).mint("another third")
    assert not follower.poll()
    assert path_of(Place.LOG, THIRD) in str(follower.trouble)
    assert follower.doubt() is Reason.STORE_DOWN, "at once: this store answers differently"
    with pytest.raises(Tampered):
        world.node.mint("n")


def test_the_same_bytes_put_again_are_the_same_commit(world: World) -> None:
    assert world.node.follower.poll()
    path = world.files.commit(THIRD)
    world.files.put(path, path.read_bytes())
    assert world.node.follower.poll()


@pytest.mark.spec("LL-48")
def test_no_object_holds_a_secret(world: World, leak_watch: object) -> None:
    texts = [world.writer.mint(f"n{number}")[1] for number in range(5)]
    world.writer.stores.close()
    stored = b"".join(path.read_bytes() for path in world.files.all())
    assert stored
    for text in texts:
        assert text.encode() not in stored
        # The secret alone: behind prefix, environment and id, before the checksum.
        assert text.rpartition("_")[2][12:-6].encode() not in stored
