"""The text of a key: written and parsed back alike, and nothing else parses."""

from __future__ import annotations

import re
import zlib

import pytest
from drawing import environments, key_ids, odd_texts, prefixes, secrets
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import credential
from keyrack.core.credential import ALPHABET, MAX_LENGTH, checksum, looks_written, parse, write

texts = st.builds(write, prefixes, environments, key_ids, secrets)


@given(prefixes, environments, key_ids, secrets)
def test_what_is_written_parses_back(prefix: str, environment: str, key_id: str, secret: str) -> None:
    text = write(prefix, environment, key_id, secret)
    parsed = parse(text)
    assert parsed is not None
    assert (parsed.prefix, parsed.environment, parsed.key_id) == (prefix, environment, key_id)
    assert parsed.text.decode() == text
    assert text == f"{prefix}_{environment}_{key_id}{secret}{checksum(text[:-6].encode())}"
    assert looks_written(text)


@given(odd_texts)
def test_only_what_could_have_been_written_parses(text: str) -> None:
    parsed = parse(text)
    looks_written(text)
    if parsed is not None:
        secret = text[-38:-6]
        assert write(parsed.prefix, parsed.environment, parsed.key_id, secret) == text


@given(texts, st.data())
def test_no_other_text_near_a_key_parses(text: str, data: st.DataObject) -> None:
    """One character replaced, dropped or doubled, or two neighbours exchanged: CRC-32 sees every one."""
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii"))
    near = {
        text[:at] + other + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at] + text[at] + text[at:],
        text[:at] + text[at : at + 2][::-1] + text[at + 2 :],
    }
    assert [one for one in near - {text} if parse(one) is not None] == []


@given(texts)
def test_a_checksum_has_one_spelling(text: str) -> None:
    """Six base62 characters hold more than 32 bits; a value beyond them names no checksum."""
    value = zlib.crc32(text[:-6].encode()) + (1 << 32)
    digits = ""
    while value:
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    assert len(digits) == 6
    assert parse(text[:-6] + digits) is None


@given(texts, st.sampled_from([" ", "\t", "\n", "\r\n", "\0", "_", "é", "\ud800"]))
def test_nothing_may_stand_around_a_key(text: str, extra: str) -> None:
    assert parse(text + extra) is None
    assert parse(extra + text) is None


def test_a_checksum_is_the_crc_of_what_stands_before_it() -> None:
    assert checksum(b"") == "000000"
    # 0xCBF43926 is the check value of CRC-32; 3 × 62⁵ + 45 × 62⁴ + 35 × 62³ + 27 × 62² + 22 × 62 + 14.
    assert checksum(b"123456789") == "3jZRME"


def test_a_text_longer_than_512_characters_is_no_key_whatever_it_ends_with() -> None:
    text = write("kr", "live", "0" * 12, "A" * 32)
    assert parse(text) is not None
    assert parse("k" * (MAX_LENGTH - len(text)) + text) is None
    assert parse("k" * MAX_LENGTH + text) is None
    assert parse(text * 20_000) is None


@pytest.mark.parametrize("head", ["kr_live", "Kr_live_", "kr_Live_", "k_live_", "kr__", "_live_", "1r_live_"])
@pytest.mark.parametrize("joined", ["", "_"])
def test_a_head_out_of_form_is_no_key_even_with_a_right_checksum(head: str, joined: str) -> None:
    body = f"{head}{joined}" + "A" * 44
    assert parse(body + checksum(body.encode())) is None or (head, joined) == ("kr_live", "_")


def test_a_wrong_checksum_still_looks_written() -> None:
    text = write("kr", "live", "A" * 12, "B" * 32)
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert parse(wrong) is None
    assert looks_written(wrong)
    assert not looks_written(text[1:-50] + "é" + text[-49:])
    assert not looks_written("short")
    assert not looks_written(text[:-1] + "-")
    assert not looks_written(text[:-1] + "é")


@given(texts)
def test_the_scanner_pattern_finds_every_key_in_prose(text: str) -> None:
    assert re.findall(credential.SCANNER_PATTERN, f'key="{text}", and so on') == [text]


@given(prefixes, environments, key_ids, secrets)
def test_no_form_of_a_parsed_key_shows_its_secret(
    prefix: str, environment: str, key_id: str, secret: str
) -> None:
    parsed = parse(write(prefix, environment, key_id, secret))
    assert secret not in f"{parsed} {parsed!r}"
    assert f"{prefix}_{environment}_{key_id[:4]}…" in repr(parsed)


@given(st.text(max_size=20) | key_ids)
def test_a_key_id_is_twelve_base62_characters(text: str) -> None:
    assert credential.is_key_id(text) == (len(text) == 12 and set(text) <= set(ALPHABET))
