"""The filter: never wrong about what is in it, seldom about what is not, in few bits."""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyrack.stores import cuckoo
from keyrack.stores.cuckoo import CuckooFilter

ALIKE = sys.hash_info.modulus
"""Numbers that differ by it have the same hash."""


def filled(things: range, expected: int) -> CuckooFilter:
    made = CuckooFilter(expected)
    for number in things:
        made.add(f"thing {number}")
    return made


def bits(made: CuckooFilter) -> int:
    return sum(8 * table._tags.itemsize * len(table._tags) for table in made._tables)


def test_one_thing_in_ten_thousand_that_is_not_in_it_passes_at_twenty_bits_each() -> None:
    made = filled(range(20_000), 20_000)
    assert all(f"thing {number}" in made for number in range(20_000))
    wrong = sum(f"thing {number}" in made for number in range(20_000, 120_000))
    # 10 are expected of 100,000; more than 40 would be seen once in 10**12 runs.
    assert wrong <= 40
    assert bits(made) / 20_000 < 20.1
    assert len(made) == 20_000


def test_it_grows_beyond_what_was_expected_and_keeps_its_word() -> None:
    made = filled(range(10_000), 0)
    assert all(f"thing {number}" in made for number in range(10_000))
    assert sum(f"thing {number}" in made for number in range(10_000, 60_000)) <= 100
    assert bits(made) / 10_000 < 26
    assert len(made) == 10_000


def test_what_was_forgotten_is_gone_and_nothing_else() -> None:
    made = filled(range(5_000), 5_000)
    for number in range(0, 5_000, 2):
        made.discard(f"thing {number}")
    assert all(f"thing {number}" in made for number in range(1, 5_000, 2))
    assert sum(f"thing {number}" in made for number in range(0, 5_000, 2)) <= 10
    assert len(made) == 2_500


def test_room_that_was_freed_is_used_again() -> None:
    made = filled(range(1_000), 1_000)
    for number in range(20_000):
        made.discard(f"thing {number}")
        made.add(f"thing {number + 1_000}")
    assert all(f"thing {number}" in made for number in range(20_000, 21_000))
    assert bits(made) / 1_000 < 21


def test_room_that_was_freed_before_it_grew_is_used_again() -> None:
    made = filled(range(1_500), 1_000)
    grown = bits(made)
    for number in range(20_000):
        made.discard(f"thing {number}")
        made.add(f"thing {number + 1_500}")
    assert all(f"thing {number}" in made for number in range(20_000, 21_500))
    assert bits(made) == grown


@pytest.mark.parametrize("count", [1, 8, 9, 10, 19, 40])
def test_things_that_all_look_alike_are_counted(count: int) -> None:
    """Two buckets hold eight of them, and there is one place outside: beyond that a new table is begun."""
    made = filled(range(100), 100)
    alike = [7 + number * ALIKE for number in range(count)]
    for thing in alike:
        made.add(thing)
    for thing in alike:
        assert thing in made
        made.discard(thing)
    assert 7 not in made
    assert len(made) == 100
    assert all(f"thing {number}" in made for number in range(100))


@settings(max_examples=30)
@given(st.integers(), st.integers(0, 3_000), st.integers(1, 12))
def test_whatever_is_added_and_forgotten_what_is_in_it_passes(seed: int, expected: int, alike: int) -> None:
    random, made, inside = Random(seed), CuckooFilter(expected), Counter[int]()
    for _ in range(1_500):
        thing = random.randrange(200) + ALIKE * random.randrange(alike)
        if inside[thing] and random.random() < 0.5:
            made.discard(thing)
            inside[thing] -= 1
        elif not inside[thing]:
            made.add(thing)
            inside[thing] += 1
    assert all(thing in made for thing in inside.elements())
    assert len(made) == inside.total()


def test_a_table_takes_no_more_than_it_was_made_for() -> None:
    made = filled(range(cuckoo.LEAST), 0)
    assert len(made._tables) == 1
    made.add("one more")
    assert len(made._tables) == 2
