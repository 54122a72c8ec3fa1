"""A store that was put back is taken again once its log says so, and names what each node had applied."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from objects_bed import BY, Files, MoodyStorage, Node, founded, verdict

from keyrack import Verifier
from keyrack.admin.restoring import Lost, accept_head, read_lost
from keyrack.core.errors import Conflict, InvalidRequest, Tampered
from keyrack.core.model import Reason
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.paths import Place
from keyrack.testing import PEPPERS

NAMED = re.compile(r"This node had applied event ([0-9]+:[0-9a-f]{64})\.")


class World:
    """A node that runs, and its store as it was before the last of what the node saw."""

    def __init__(self, root: Path, max_keys: int | None):
        self.files = Files(root)
        self.earlier = root.with_name("earlier")
        writer = founded(root)
        self.kept, self.revoked = writer.mint("kept"), writer.mint("revoked")
        writer.keys.close()
        shutil.copytree(root, self.earlier)
        self.verifier = Verifier.open(f"file://{root}", peppers=PEPPERS, poll=3600, replica_max_keys=max_keys)
        self.issuer = self.verifier.issuer()
        self.issuer.revoke(self.revoked[0], by=BY)
        assert self.verifier.follower.poll()

    def put_back(self) -> None:
        """Make the objects be those of the earlier state, below the same root."""
        for folder in (Place.LOG.folder, ".settings"):
            shutil.rmtree(self.files.root / folder)
            shutil.copytree(self.earlier / folder, self.files.root / folder)

    def poll(self) -> str:
        """What the node says is wrong, after a look at its store."""
        self.verifier.follower.poll()
        return str(self.verifier.follower.trouble)

    def named(self) -> Lost:
        """The head that the node names."""
        found = NAMED.search(self.poll())
        assert found is not None
        return read_lost(found[1])

    def accept(self, *lost: Lost) -> int:
        """Accept the store as it is now, in a process of its own; the number of the event."""
        node = Node(Directory(self.files.root))
        accepted = accept_head(node.stores, by="operator:tests", lost=lost)
        node.stores.close()
        return accepted.number

    def verdicts(self) -> list[str]:
        return [verdict(self.verifier, text) for _, text in (self.kept, self.revoked)]


@pytest.fixture(params=[None, 1], ids=["whole", "partial"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path / "keys", request.param)
    yield made
    made.verifier.close()


def test_a_store_that_was_put_back_is_taken_once_it_names_the_head_of_the_node(world: World) -> None:
    assert world.verdicts() == ["ok", "revoked"]
    world.put_back()
    lost = world.named()
    assert lost.number == world.verifier.follower.replica.head.number
    assert world.verifier.follower.doubt() is Reason.STORE_DOWN
    assert world.accept(lost) == lost.number, "the number is given again, behind another past"
    assert world.verifier.follower.poll(), world.verifier.follower.trouble
    assert world.verdicts() == ["ok", "ok"], "the backup has forgotten the revocation"
    world.issuer.revoke(world.revoked[0], by=BY)
    assert world.verifier.follower.poll()
    assert world.verdicts() == ["ok", "revoked"]


def test_nothing_is_taken_that_names_another_head(world: World) -> None:
    world.put_back()
    lost = world.named()
    for other in (Lost(lost.number, bytes(32)), Lost(lost.number + 1, lost.hash)):
        world.accept(other)
        assert "rolled back, forked or exchanged" in world.poll()
        assert world.verdicts() == ["store_down"] * 2
    with pytest.raises(Tampered):
        world.issuer.revoke(world.kept[0], by=BY)
    world.accept(lost)
    assert world.verifier.follower.poll()


@pytest.mark.parametrize("more", [0, 1, 3])
def test_a_store_that_went_on_before_anybody_looked_is_taken_as_well(world: World, more: int) -> None:
    lost = world.verifier.follower.replica.head
    world.put_back()
    world.accept(Lost(lost.number, lost.hash))
    writer = Node(Directory(world.files.root))
    made = [writer.mint(f"n{number}")[1] for number in range(more)]
    writer.stores.close()
    assert world.verifier.follower.poll(), world.verifier.follower.trouble
    assert world.verdicts() == ["ok", "ok"]
    assert [verdict(world.verifier, text) for text in made] == ["ok"] * more


def test_a_store_that_went_on_without_a_word_is_refused_at_once(world: World) -> None:
    world.put_back()
    writer = Node(Directory(world.files.root))
    for number in range(3):
        writer.mint(f"n{number}")
    writer.stores.close()
    assert "rolled back, forked or exchanged" in world.poll()
    assert world.verifier.follower.doubt() is Reason.STORE_DOWN


def test_a_log_that_is_refused_is_read_from_its_beginning_once(world: World) -> None:
    storage = MoodyStorage(Directory(world.files.root))
    node = Node(storage)
    node.follower.load()
    world.put_back()
    assert not node.follower.poll()
    storage.asked.clear()
    assert not node.follower.poll()
    assert [what for what, _ in storage.asked] == ["get", "tag", "get", "list"]
    node.keys.close()


def test_a_restored_log_that_cannot_be_read_leaves_the_node_refusing(world: World) -> None:
    world.put_back()
    lost = world.named()
    world.accept(lost)
    data = world.files.commit(2).read_bytes()
    world.files.put(world.files.commit(2), b"spoilt")
    assert "rolled back, forked or exchanged" in world.poll()
    world.files.put(world.files.commit(2), data)
    world.accept(lost)
    assert world.verifier.follower.poll()


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_restored_log_that_could_not_be_read_for_a_moment_is_taken_later(world: World, calls: int) -> None:
    storage = MoodyStorage(Directory(world.files.root))
    node = Node(storage)
    node.follower.load()
    head = node.follower.replica.head
    world.put_back()
    world.accept(Lost(head.number, head.hash))
    storage.calls_left = calls
    node.follower.poll()
    storage.calls_left = None
    assert node.follower.poll(), node.follower.trouble
    node.keys.close()


def test_what_stands_in_the_log_is_not_lost(world: World) -> None:
    head = world.verifier.follower.replica.head
    with pytest.raises(Conflict, match="stands in this store's log"):
        world.accept(Lost(head.number, head.hash))


def test_where_no_node_is_registered_its_head_has_to_be_told(world: World) -> None:
    world.put_back()
    with pytest.raises(Conflict, match="--lost"):
        world.accept()


@pytest.mark.parametrize(
    "text", ["", "5", "5:", "0:" + "a" * 64, "5:" + "a" * 63, "5:" + "A" * 64, "x:" + "a" * 64]
)
def test_what_names_no_event_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="NUMBER:HASH"):
        read_lost(text)
