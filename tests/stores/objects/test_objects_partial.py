"""A node that may hold few keys holds few of them in memory, in its store as well as in its replica."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from objects_bed import BY, MoodyStorage, Node, founded, verdict

from keyrack import Verifier
from keyrack.stores.objects import checkpoints
from keyrack.stores.objects.directory import Directory
from keyrack.testing import PEPPERS

FEW, MANY = 100, 500
BYTES_A_KEY = 60
"""For both filters, with room to grow; a record alone has several hundred."""


def filled(root: Path, keys: int) -> list[str]:
    """The texts of so many keys in a new store, of which a checkpoint is written."""
    node = founded(root)
    texts = [node.mint(f"n{number}")[1] for number in range(keys)]
    node.stores.close()
    return texts


@contextmanager
def deciding(root: Path, max_keys: int) -> Iterator[Verifier]:
    with Verifier.open(f"file://{root}", peppers=PEPPERS, replica_max_keys=max_keys, poll=3600) as verifier:
        yield verifier


def test_keys_that_are_not_held_are_decided_on_as_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 5)
    root = tmp_path / "keys"
    texts = filled(root, 8)
    writer = Node(Directory(root))
    revoked, later = writer.mint("revoked"), writer.mint("later")
    writer.issuer.revoke(revoked[0], by=BY)
    with deciding(root, 2) as verifier:
        assert [verdict(verifier, text) for text in (*texts, revoked[1], later[1])] == [
            *["ok"] * 8,
            "revoked",
            "ok",
        ]
        assert len(verifier.follower.replica) == 2
        writer.issuer.revoke(later[0], by=BY)
        assert verifier.follower.poll()
        assert [verdict(verifier, text) for text in (*texts, later[1])] == [*["ok"] * 8, "revoked"]
    writer.stores.close()


def test_a_key_that_is_not_held_costs_a_look_at_the_end_of_the_log(tmp_path: Path) -> None:
    root = tmp_path / "keys"
    founded(root)
    storage = MoodyStorage(Directory(root))
    node = Node(storage, max_keys=1)
    made = [node.mint()[0] for _ in range(3)]
    node.follower.load()
    storage.asked.clear()
    node.follower.replica.bring(made[-1], node.keys)
    # The listing is made every ten seconds, and here each time.
    assert [what for what, path in storage.asked if path.startswith("log")] == ["get", "tag", "list"]
    node.stores.close()


def test_memory_does_not_grow_with_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", FEW)
    sizes = {}
    for keys in (FEW, MANY):
        filled(tmp_path / str(keys), keys)
        gc.collect()
        tracemalloc.start()
        try:
            with deciding(tmp_path / str(keys), 10) as verifier:
                gc.collect()
                sizes[keys], _ = tracemalloc.get_traced_memory()
                assert (len(verifier.follower.replica), verifier.follower.replica.in_all) == (10, keys)
        finally:
            tracemalloc.stop()
    assert (sizes[MANY] - sizes[FEW]) / (MANY - FEW) < BYTES_A_KEY
