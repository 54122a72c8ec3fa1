"""The strength rule that keeps weak static keys out: bad values and good ones, row by row."""

from __future__ import annotations

import base64
import secrets
import string
import subprocess

import pytest

from keyrack import weakness

BAD = [
    "",
    "a",
    "0123456789",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tY",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYe",
    "K7w9Zq3xV1nB5mC8 dF2gH4jL6pR0tYeU",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYe\n",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYe\tU",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYe\x7f",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYeé",
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYe…",
    "a" * 32,
    "ab" * 16,
    "abcdefgh" * 4,
    "q7Zk" * 12,
    "12345678" * 8,
    "aaaabbbbccccddddeeeeffffgggghhhh",
    "01010101010101010101010101234567",
    string.ascii_lowercase + "012345",
    "".join(reversed(string.ascii_letters)),
    "".join(chr(code) for code in range(33, 73)),
    "".join(chr(code) for code in range(126, 86, -1)),
    "changeme-Zq3xV1nB5mC8dF2gH4jL6pR0",
    "CHANGE-ME-Zq3xV1nB5mC8dF2gH4jL6pR0",
    "Replace-Zq3xV1nB5mC8dF2gH4jL6pR0tY",
    "Zq3xV1nB5mC8dF2gH4-placeholder-L6p",
    "Zq3xV1nB5mC8dF2gH4jL6pR0tYeExample",
    "your-key-Zq3xV1nB5mC8dF2gH4jL6pR0t",
    "YOUR_KEY_Zq3xV1nB5mC8dF2gH4jL6pR0t",
    "my-Secret-Zq3xV1nB5mC8dF2gH4jL6pR0",
    "PassWord-Zq3xV1nB5mC8dF2gH4jL6pR0t",
    "Default-Zq3xV1nB5mC8dF2gH4jL6pR0tY",
    "test-key-Zq3xV1nB5mC8dF2gH4jL6pR0t",
]
GOOD = [
    base64.b64encode(secrets.token_bytes(32)).decode(),
    secrets.token_urlsafe(32),
    secrets.token_hex(32),
    "K7w9Zq3xV1nB5mC8dF2gH4jL6pR0tYeU",
    "correct,horse,battery,staple,over,and,out",
]


@pytest.mark.spec("CO-19")
@pytest.mark.parametrize("text", BAD)
def test_a_weak_text_is_refused_and_never_quoted(text: str) -> None:
    reason = weakness(text)
    assert reason
    assert not text or len(text) < 2 or text not in reason


@pytest.mark.spec("CO-19")
@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_a_strong_text_is_taken(text: str) -> None:
    assert weakness(text) is None


@pytest.mark.spec("CO-19")
def test_what_the_documented_generator_makes_is_strong() -> None:
    made = subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True, check=True)
    assert weakness(made.stdout.strip()) is None


@pytest.mark.spec("CO-19")
def test_the_table_is_long_enough() -> None:
    assert len(set(BAD)) >= 25
    assert len(set(GOOD)) >= 5
