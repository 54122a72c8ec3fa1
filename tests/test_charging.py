"""What a service charges by itself: buckets of its own, counted where the limits of keys are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyrack import Limit, Unavailable, Verifier

PEPPERS = "p1:kPz6Qw9Rt2Yx4Vb7Nm1Lc3Jd5Hf8Gs0A"
MINUTE = Limit("login", 3, 60)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Verifier, Verifier]]:
    """Two processes' worth of verifiers on one store and one file of counters."""
    now = [1_000_000.0]
    url, counters = f"sqlite:///{tmp_path / 'keys.db'}", f"sqlite:///{tmp_path / 'counters.db'}"
    given = {"peppers": PEPPERS, "counters": counters, "clock": lambda: now[0]}
    with Verifier.open(url, create=True, **given) as first, Verifier.open(url, **given) as second:
        yield first, second


def test_a_bucket_is_one_for_all_who_charge_it(nodes: tuple[Verifier, Verifier]) -> None:
    taken = [node.charge("10.0.0.1", [MINUTE]) for node in (*nodes, *nodes)]
    assert [one.ok for one in taken] == [True, True, True, False]
    assert taken[-1].retry_after == 60
    assert [one.rates[0].remaining for one in taken] == [2, 1, 0, 0]


def test_buckets_and_names_are_apart(nodes: tuple[Verifier, Verifier]) -> None:
    for bucket, limit in (("a", MINUTE), ("b", MINUTE), ("a", Limit("other", 3, 60))):
        assert nodes[0].charge(bucket, [limit]).rates[0].remaining == 2


def test_where_nothing_can_be_counted_that_is_said(nodes: tuple[Verifier, Verifier], tmp_path: Path) -> None:
    nodes[0].stores.counters.close()
    for name in ("counters.db", "counters.db-wal", "counters.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "counters.db").mkdir()
    with pytest.raises(Unavailable):
        nodes[0].charge("a", [MINUTE])
