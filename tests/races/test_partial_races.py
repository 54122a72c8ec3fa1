"""Nodes that hold few keys, asked by many threads while keys change: no answer is older than it may be."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from random import Random

import pytest
from engine_bed import OPERATOR, Bed, opened

from keyrack.testing.samples import at_once

KEYS = 9
REVOKED = 3


class Watchers:
    """Threads that ask for keys in any order, and keep what was wrong."""

    def __init__(self, bed: Bed, texts: dict[str, str]):
        self._bed = bed
        self._texts = texts
        self.revoked: set[str] = set()
        """Keys whose revocation has returned."""
        self.over = threading.Event()
        self.wrong: list[tuple[str, str]] = []
        self.passed = 0

    def ask(self, seed: int) -> None:
        random = Random(seed)
        while not self.over.is_set():
            key_id, text = random.choice(list(self._texts.items()))
            is_revoked = key_id in self.revoked
            verdict = self._bed.verdict(text, "a:b")
            self.passed += verdict == "ok"
            # While it is being revoked it may be either; a crowd may have pushed it out again and again.
            expected = {"revoked"} if is_revoked else {"ok", "revoked"}
            if verdict not in expected | {"store_down"}:
                self.wrong.append((key_id, verdict))


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_once_a_waiting_revocation_has_returned_no_thread_of_another_node_passes_the_key(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind = store if store == "sqlite" else request.getfixturevalue("postgresql_url")
    opening = partial(opened, kind, folder=tmp_path, replica_max_keys=3)
    with opening() as writer, opening() as reader:
        minted = [writer.mint("a:b") for _ in range(KEYS)]
        reader.verifier.follower.poll()
        watchers = Watchers(reader, {one.key.id: text for one, text in minted})

        def change() -> None:
            for one, _ in minted[:REVOKED]:
                writer.issuer.update(one.key.id, {"metadata": {"a": 1}}, by=OPERATOR)
                writer.issuer.revoke(one.key.id, by=OPERATOR, wait=True)
                watchers.revoked.add(one.key.id)
            watchers.over.set()

        at_once([change, *(partial(watchers.ask, seed) for seed in range(4))])
        assert watchers.wrong == []
        assert watchers.passed > 0
        assert reader.verifier.lookups.totals["found"] > 0
        for bed in (writer, reader):
            verdicts = [bed.verdict(text, "a:b") for _, text in minted]
            assert verdicts == ["revoked"] * REVOKED + ["ok"] * (KEYS - REVOKED)
