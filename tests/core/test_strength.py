"""The strength rule, row by row."""

from __future__ import annotations

import base64
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.strength import PLACEHOLDERS, weakness

SHORT, STRANGE, FEW = "fewer than 32 characters", "outside ASCII", "fewer than 12 distinct"
BLOCK, RUN, WORD = "repeats a block", "a run of", "a placeholder word"

BAD = {
    "": SHORT,
    "a": SHORT,
    "hunter2": SHORT,
    "kT9wPq2LmZ8xVb4NcR6yHd1JgF3sQe5": SHORT,
    " kT9wPq2LmZ8xVb4NcR6yHd1JgF3sQe5U": STRANGE,
    "kT9wPq2LmZ8xVb4N cR6yHd1JgF3sQe5U": STRANGE,
    "kT9wPq2LmZ8xVb4NcR6yHd1JgF3sQe5U\n": STRANGE,
    "kT9wPq2LmZ8xVb4N\0cR6yHd1JgF3sQe5U": STRANGE,
    "kT9wPq2LmZ8xVb4N\x7fcR6yHd1JgF3sQe5U": STRANGE,
    "kT9wPq2LmZ8xVb4NécR6yHd1JgF3sQe5U": STRANGE,
    "ｋT9wPq2LmZ8xVb4NcR6yHd1JgF3sQe5UW": STRANGE,
    "a" * 32: BLOCK,
    "0" * 64: BLOCK,
    "ababababababababababababababababab": BLOCK,
    "deadbeefdeadbeefdeadbeefdeadbeef": BLOCK,
    "qwertyui" * 4 + "qwe": BLOCK,
    "1234567890" * 4: FEW,
    "11111111112222222222333333333344444444445": FEW,
    "kT9wPq2kT9wPq2kT9wPq2kT9wPq2-kT9wPq2": FEW,
    "abcdefghijklmnopqrstuvwxyzABCDEF": RUN,
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`": RUN,
    "zyxwvutsrqponmlkjihgfedcba987654": RUN,
    "0123456789abcdefghijklmnopqrstuvwxyz": RUN,
    "!\"#$%&'()*+,-./0123456789:;<=>?@": RUN,
    "changeme-kT9wPq2LmZ8xVb4NcR6yHd1J": WORD,
    "kT9wPq2LmZ8xVb4NcR6y-Change-Me-Hd": WORD,
    "replace-this-with-kT9wPq2LmZ8xVb4": WORD,
    "PLACEHOLDERkT9wPq2LmZ8xVb4NcR6yHd": WORD,
    "kT9wPq2LmZ8xExampleVb4NcR6yHd1JgF": WORD,
    "your-key-kT9wPq2LmZ8xVb4NcR6yHd1J": WORD,
    "your_key_kT9wPq2LmZ8xVb4NcR6yHd1J": WORD,
    "mysecretkT9wPq2LmZ8xVb4NcR6yHd1Jg": WORD,
    "PassworDkT9wPq2LmZ8xVb4NcR6yHd1Jg": WORD,
    "defaultkT9wPq2LmZ8xVb4NcR6yHd1JgF": WORD,
    "test-key-kT9wPq2LmZ8xVb4NcR6yHd1J": WORD,
}

GOOD = [
    "3q2+7wABCDEFzYx1mK9pQ8rT5vW0uJ4hL6nG2sX/dBc=",  # as `openssl rand -base64 32` prints
    "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM=",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",  # openssl rand -hex 32
    "kT9wPq2LmZ8xVb4NcR6yHd1JgF3sQe5U",
    "correct-horse-battery-staple-4711-Zq",
    "~!aZ}{9(8)7*6&5^4%3$2#1@qWeRtYuIo",
]


@pytest.mark.spec("CO-19")
@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_a_weak_text_is_refused_with_its_reason_and_never_quoted(text: str, why: str) -> None:
    said = weakness(text)
    assert said is not None
    assert why in said
    assert len(text) < 8 or text not in said


@pytest.mark.spec("CO-19")
@pytest.mark.parametrize("text", GOOD)
def test_a_strong_text_passes(text: str) -> None:
    assert weakness(text) is None


def test_the_table_is_long_enough_and_names_every_rule_and_word() -> None:
    assert len(BAD) >= 25
    assert len(GOOD) >= 5
    assert set(BAD.values()) >= {SHORT, STRANGE, FEW, BLOCK, RUN, WORD}
    assert all(any(word in text.lower() for text in BAD) for word in PLACEHOLDERS)


@pytest.mark.parametrize("size", range(1, 9))
def test_a_repeated_block_of_up_to_eight_characters_is_refused(size: int) -> None:
    assert BLOCK in str(weakness("aB3xK9z!"[:size] * 40))
    assert BLOCK in str(weakness(("aB3xK9z!"[:size] * 40)[:-1]))


def test_what_the_generator_command_prints_passes() -> None:
    """`openssl rand -base64 32` is the Base64 of 32 random bytes."""
    chosen = random.Random(0)
    printed = [base64.b64encode(chosen.randbytes(32)).decode() for _ in range(2000)]
    assert [text for text in printed if weakness(text) is not None] == []


@given(st.text(max_size=80))
def test_any_text_gets_an_answer_that_does_not_quote_it(text: str) -> None:
    said = weakness(text)
    assert said is None or len(text) < 12 or text not in said


@given(st.integers(0, 2**32))
def test_a_run_hidden_in_a_few_other_characters_is_still_a_run(seed: int) -> None:
    chosen = random.Random(seed)
    run = string.ascii_letters[:26] + string.digits
    at = chosen.randrange(len(run))
    assert weakness(run[:at] + chosen.choice("!#%&") + run[at:]) is not None
