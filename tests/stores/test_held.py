"""What a partial replica holds: never more than it may, and what is used stays."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from keyrack.stores.held import HeldBodies


class Use:
    """Counts the rounds of use, as whoever remembers use elsewhere would."""

    def __init__(self) -> None:
        self.rounds = 0

    def forget(self) -> None:
        self.rounds += 1


class Looked(dict[str, bytes]):
    """Bodies of which one is used, by another thread, when it is looked for here."""

    def __init__(self, held: HeldBodies):
        super().__init__()
        self.use = held.use

    def get(self, key_id: str, default: Any = None) -> Any:
        found = super().get(key_id, default)
        self.use(key_id)
        return found


def test_what_becomes_used_meanwhile_is_found() -> None:
    held = HeldBodies(2, Use().forget)
    held.hold("a", b"a")
    held._begin_round()
    held._used = Looked(held)
    assert held.get("a") == b"a"


def test_what_is_kept_fills_free_room_and_pushes_nothing_out() -> None:
    held = HeldBodies(2, Use().forget)
    for name in ("a", "b", "c"):
        held.keep(name, name.encode())
    assert (held.get("a"), held.get("b"), held.get("c"), len(held)) == (b"a", b"b", None, 2)
    held.keep("b", b"newer")
    assert held.get("b") == b"newer"


def test_what_was_used_since_the_round_began_stays() -> None:
    use = Use()
    held = HeldBodies(3, use.forget)
    for name in "abc":
        held.hold(name, b"1")
    assert use.rounds == 0
    held.hold("d", b"1")
    assert (use.rounds, held.get("a")) == (1, None)
    held.use("b")
    held.hold("e", b"1")
    assert [name for name in "abcde" if held.get(name)] == ["b", "d", "e"]
    held.hold("f", b"1")
    assert use.rounds == 2
    assert len(held) == 3


def test_a_newer_body_takes_the_place_of_an_older_one_whether_that_was_used_or_not() -> None:
    held = HeldBodies(2, Use().forget)
    for name in "abc":
        held.hold(name, b"1")
    held.keep("b", b"2")
    held.keep("c", b"2")
    assert (held.get("b"), held.get("c"), len(held)) == (b"2", b"2", 2)
    held.hold("b", b"3")
    assert (held.get("b"), len(held)) == (b"3", 2)


def test_taking_in_what_is_held_but_was_not_used_pushes_nothing_out() -> None:
    held = HeldBodies(3, Use().forget)
    for name in "abcd":
        held.hold(name, b"1")
    held.hold("c", b"2")
    assert [held.get(name) for name in "abcd"] == [None, b"1", b"2", b"1"]


@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_there_is_never_more_than_it_may_hold_and_what_was_just_taken_in_is_there(most: int) -> None:
    random, held = Random(most), HeldBodies(most, Use().forget)
    for _ in range(3_000):
        name = str(random.randrange(3 * most))
        random.choice([held.hold, held.keep])(name, name.encode())
        held.use(str(random.randrange(3 * most)))
        assert len(held) <= most
        held.hold(name, name.encode())
        assert held.get(name) == name.encode()


def test_keys_in_use_are_found_again_while_many_others_pass_by() -> None:
    """Ten of a hundred are used all the time: nearly every use finds its body."""
    held, misses = HeldBodies(100, Use().forget), 0
    for number in range(20_000):
        name = f"hot {number % 10}"
        misses += held.get(name) is None
        held.use(name)
        held.hold(name, b"1")
        held.hold(f"cold {number}", b"1")
    assert misses < 20
