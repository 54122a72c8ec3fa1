"""What a decision costs, counted by the interpreter itself and not by a replaced function."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from engine_bed import FOREIGN, OPERATOR, POLICY, STATIC, Bed, opened, other

from keyrack import Policy
from keyrack.core.credential import write
from keyrack.core.peppers import Peppers
from keyrack.testing import PEPPERS


class TestWork:
    """What a decision costs, counted by the interpreter itself and not by a replaced function."""

    @pytest.mark.spec("CO-10")
    def test_good_wrong_and_unknown_cost_one_digest_and_one_comparison_each(self, static: Bed) -> None:
        _, good = static.mint("a:b")
        texts = [good, other(good), write("kr", "live", "0" * 12, "A" * 32), FOREIGN, "any other text"]
        static.verdict(good)
        costs = {text: work(partial(static.verdict, text)) for text in texts}
        assert costs == {text: {"digest": DIGEST, "compare": 1} for text in texts}

    @pytest.mark.spec("CO-10")
    def test_a_store_without_foreign_keys_compares_alike_too(self, memory: Bed) -> None:
        _, good = memory.mint("a:b")
        memory.verdict(good)
        texts = [good, other(good), write("kr", "live", "0" * 12, "A" * 32)]
        assert [work(partial(memory.verdict, text)) for text in texts] == [
            {"digest": DIGEST, "compare": 1}
        ] * 3

    @pytest.mark.spec("CO-10")
    def test_a_wrong_checksum_or_a_long_text_costs_neither(self, static: Bed) -> None:
        _, good = static.mint("a:b")
        wrong_checksum = good[:-1] + ("0" if good[-1] != "0" else "1")
        for text in (wrong_checksum, "x" * 513, good * 10, "é" * 40, ""):
            assert work(partial(static.verdict, text)) == {"digest": 0, "compare": 0}

    @pytest.mark.spec("CO-9")
    def test_no_decision_calls_the_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BOT_KEY", FOREIGN)
        with opened(policy=Policy(presets=POLICY.presets), static=STATIC, poll=3600) as bed:
            _, good = bed.mint("a:b")
            calls = store_calls(
                lambda: [bed.verdict(text) for text in (good, other(good), FOREIGN, "x", "x" * 600, "")]
            )
        assert calls == []

    def test_a_decision_writes_nothing_to_the_key(self, bed: Bed) -> None:
        minted, text = bed.mint("a:b")
        head = bed.stores.keys.last()
        record = bed.issuer.get(minted.key.id, by=OPERATOR)
        assert [bed.verdict(one) for one in (text, other(text), "x")] == ["ok", "unknown", "malformed"]
        bed.verifier.notebook.flush(bed.stores.journal)
        assert bed.stores.keys.last() == head
        assert bed.issuer.get(minted.key.id, by=OPERATOR) == record


def work(call: Callable[[], object]) -> dict[str, int]:
    """How many digests were finished and how many comparisons made in constant time."""
    calls: Counter[str] = Counter()

    def see(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            calls[function.__name__] += 1

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {"digest": calls["digest"] + calls["hmac_digest"], "compare": calls["compare_digest"]}


def store_calls(call: Callable[[], object]) -> list[str]:
    """The functions of any store module that were called."""
    calls: list[str] = []

    def see(frame: FrameType, event: str, function: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and ("/stores/sql/" in file or file.endswith("/stores/memory.py")):
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return calls


DIGEST = work(partial(Peppers.parse(PEPPERS).first.digest.digest, b"x"))["digest"]
"""How often one HMAC finishes a hash: twice, unless it is made in one step."""
