"""How long a decision takes tells nothing about a secret, nor whether a key exists.

Samples of two kinds are taken in turns, so that whatever else the machine does meets both alike; each
sample decides on many texts, and the lower quartiles are compared, since noise only ever adds. A kind that
differs must do so three times over, with four times as many samples each time, before it fails.

The tolerance is a quarter of a decision, about half a microsecond. What depends on the secret is far below
it. A wrong secret of a known id and an unknown id cost the same digest and the same comparison, which
test_verifier_work.py counts; the look-ups by which they differ take about a tenth of a decision, far less
than a network adds to every answer.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from statistics import quantiles

import pytest
from engine_bed import Bed, opened

from keyrack import Access
from keyrack.core.credential import ALPHABET, checksum, write

TOLERANCE = 0.25
DECISIONS = 40
"""How many decisions one sample times together."""
SAMPLES = 150
ROUNDS = 3
ACCESS = Access(("a:b",))


class Kinds:
    """Texts of every kind, many of each, so that no branch is learnt."""

    def __init__(self, bed: Bed):
        chosen = random.Random(0)
        self.bed = bed
        self.good = [bed.mint("a:b")[1] for _ in range(50)]
        self.wrong_at_its_end = [with_other(text, -7) for text in self.good]
        self.wrong_at_its_start = [with_other(text, 20) for text in self.good]
        self.wrong_everywhere = [
            write("kr", "live", text[8:20], "".join(chosen.choices(ALPHABET, k=32))) for text in self.good
        ]
        self.unknown = [
            write("kr", "live", "".join(chosen.choices(ALPHABET, k=12)), text[20:52]) for text in self.good
        ]
        self.wrong_checksum = [text[:-1] + ("0" if text[-1] != "0" else "1") for text in self.good]
        self.garbage = [text.replace("_", "-") for text in self.good]
        self.too_long = [text * 10 for text in self.good]


def with_other(text: str, at: int) -> str:
    """The text with one character of its secret changed, and the checksum made right."""
    changed = text[:at] + ("A" if text[at] != "A" else "B") + (text[at + 1 : -6] if at != -7 else "")
    return changed + checksum(changed.encode())


@pytest.fixture(scope="module")
def kinds() -> Iterator[Kinds]:
    with opened() as bed:
        yield Kinds(bed)


def sampled(bed: Bed, left: Sequence[str], right: Sequence[str], samples: int) -> tuple[float, float]:
    """The lower quartile of the seconds that a decision on each kind takes, measured in turns."""
    verify, texts = bed.verifier.verify, (cycle(left), cycle(right))
    taken: tuple[list[float], list[float]] = ([], [])
    for sample in range(samples):
        for kind in ((0, 1), (1, 0))[sample % 2]:
            batch = [next(texts[kind]) for _ in range(DECISIONS)]
            began = time.perf_counter()
            for text in batch:
                verify(text, ACCESS)
            taken[kind].append((time.perf_counter() - began) / DECISIONS)
        # What was noted is let go, or the last samples would meet a fuller memory than the first.
        bed.verifier.notebook.flush(bed.stores.journal)
    lower = [quantiles(one, n=4)[0] for one in taken]
    return lower[0], lower[1]


def agrees(measure: Callable[[int], bool]) -> bool:
    """Whether one of a few measurements, each with more samples than the last, comes out right."""
    gc.collect()
    gc.disable()
    try:
        return any(measure(SAMPLES * 4**attempt) for attempt in range(ROUNDS))
    finally:
        gc.enable()


ALIKE = [
    ("wrong_at_its_end", "wrong_at_its_start"),
    ("wrong_at_its_end", "wrong_everywhere"),
    ("unknown", "wrong_everywhere"),
    ("unknown", "wrong_at_its_end"),
    ("wrong_checksum", "garbage"),
]


@pytest.mark.spec("CO-10")
@pytest.mark.parametrize(("left", "right"), ALIKE)
def test_two_kinds_of_texts_cannot_be_told_apart(kinds: Kinds, left: str, right: str) -> None:
    told: list[tuple[float, float]] = []

    def measure(samples: int) -> bool:
        one, other = sampled(kinds.bed, getattr(kinds, left), getattr(kinds, right), samples)
        told.append((one, other))
        return abs(one - other) <= TOLERANCE * max(one, other)

    assert agrees(measure), f"{left} and {right} differ: {told}"


@pytest.mark.parametrize("cheap", ["wrong_checksum", "garbage"])
def test_what_is_malformed_costs_less_than_a_good_key(kinds: Kinds, cheap: str) -> None:
    told: list[tuple[float, float]] = []

    def measure(samples: int) -> bool:
        one, other = sampled(kinds.bed, getattr(kinds, cheap), kinds.good, samples)
        told.append((one, other))
        return one < other

    assert agrees(measure), f"{cheap} is no cheaper than a good key: {told}"


def test_the_measurement_sees_a_difference_where_there_is_one(kinds: Kinds) -> None:
    """Otherwise the tests above would say nothing."""

    def measure(samples: int) -> bool:
        one, other = sampled(kinds.bed, kinds.too_long, kinds.wrong_everywhere, samples)
        return abs(one - other) > TOLERANCE * max(one, other)

    assert agrees(measure)
