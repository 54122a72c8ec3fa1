"""Peppers: derived as RFC 5869 says, one key for each use, and nothing about them is ever shown."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.errors import ConfigurationError
from keyrack.core.peppers import Mac, Pepper, Peppers
from keyrack.testing import PEPPERS

TEXT = PEPPERS.partition(":")[2]
OTHER = "zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"
USES = {"digest", "index", "record", "log", "state", "marks", "receipts"}


def hkdf_sha256(material: bytes, info: bytes, length: int, salt: bytes = b"") -> bytes:
    """RFC 5869, sections 2.2 and 2.3, in its own words."""
    pseudorandom = hmac.new(salt or b"\0" * 32, material, hashlib.sha256).digest()
    blocks, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(pseudorandom, block + info + bytes([counter]), hashlib.sha256).digest()
        blocks += block
    return blocks[:length]


def test_the_independent_derivation_gives_the_test_cases_of_the_rfc() -> None:
    first = hkdf_sha256(b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42, salt=bytes(range(13)))
    assert first.hex().startswith("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
    third = hkdf_sha256(b"\x0b" * 22, b"", 42)
    assert third.hex().startswith("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")


@pytest.mark.parametrize(
    ("use", "label"), [(use, "idempotency" if use == "marks" else use) for use in sorted(USES)]
)
def test_each_use_has_a_key_of_its_own_derived_from_the_text(use: str, label: str) -> None:
    key = hkdf_sha256(TEXT.encode(), b"keyrack/" + label.encode(), 32)
    code = hmac.new(key, b"some data", hashlib.sha256).digest()
    assert getattr(Pepper("p1", TEXT), use).digest(b"some data") == code


def test_the_check_value_is_derived_too_and_tells_one_text_from_another() -> None:
    key = hkdf_sha256(TEXT.encode(), b"keyrack/check", 32)
    assert Pepper("p1", TEXT).check == hmac.new(key, b"", hashlib.sha256).digest()[:8].hex()
    assert Pepper("p1", TEXT).check == Pepper("p9", TEXT).check != Pepper("p1", OTHER).check


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_a_mac_is_the_standard_hmac(key: bytes, data: bytes) -> None:
    mac = Mac(key)
    code = hmac.new(key, data, hashlib.sha256).digest()
    assert mac.digest(data) == mac.digest(data) == code
    assert mac.agrees(data, code)
    assert not mac.agrees(data + b"\0", code)
    assert not mac.agrees(data, code[:-1])


@given(st.binary(max_size=100))
def test_no_two_uses_and_no_two_peppers_give_one_code(data: bytes) -> None:
    peppers = Peppers.parse(f"p1:{TEXT},p2:{OTHER}")
    codes = {getattr(pepper, use).digest(data) for pepper in peppers for use in USES}
    assert len(codes) == 2 * len(USES)


def test_the_first_pepper_digests_and_all_are_known_by_their_id() -> None:
    peppers = Peppers.parse(f"p2:{OTHER},p1:{TEXT}")
    assert peppers.first is peppers["p2"]
    assert [pepper.id for pepper in peppers] == ["p2", "p1"]
    assert peppers.get("p1") is peppers["p1"]
    assert peppers.get("p3") is None
    with pytest.raises(ConfigurationError, match="lacks the pepper 'p3'"):
        peppers["p3"]


def test_a_text_may_hold_a_colon_and_a_trailing_comma_means_nothing() -> None:
    peppers = Peppers.parse(f"p1:{TEXT}:x,")
    assert [pepper.id for pepper in peppers] == ["p1"]
    assert peppers["p1"].check == Pepper("p1", f"{TEXT}:x").check


@dataclass
class Bad:
    setting: str
    why: str


BAD = [
    Bad("", "is missing"),
    Bad(",", "is missing"),
    Bad(TEXT, "must read `id:text`"),
    Bad(f":{TEXT}", "must read `id:text`"),
    Bad(f"P1:{TEXT}", "must read `id:text`"),
    Bad(f"p_1:{TEXT}", "must read `id:text`"),
    Bad(f"{'p' * 17}:{TEXT}", "must read `id:text`"),
    Bad(f"{TEXT}:p1", "must read `id:text`"),
    Bad(f" p1:{TEXT}", "must read `id:text`"),
    Bad("p1:", "fewer than 32"),
    Bad(f"p1:{TEXT[:31]}", "fewer than 32"),
    Bad(f"p1:{TEXT} ", "contains a blank"),
    Bad(f"p1:{TEXT}é", "outside ASCII"),
    Bad("p1:" + "ab" * 20, "repeats a block"),
    Bad(f"p1:changeme{TEXT}", "placeholder"),
    Bad(f"p1:{TEXT},p1:{OTHER}", "names one id twice"),
    Bad(f"p2:{OTHER},p1:{TEXT[:20]}", "fewer than 32"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.why)
def test_a_bad_setting_is_named_with_its_rule_and_without_its_text(bad: Bad) -> None:
    with pytest.raises(ConfigurationError) as error:
        Peppers.parse(bad.setting)
    said = f"{error.value} {error.value!r} {error.value.details}"
    assert error.value.setting == "KEYRACK_PEPPERS"
    assert bad.why in said
    assert not any(shown in said for shown in (TEXT[:20], OTHER[:20], "ab" * 20))


@given(st.text(max_size=120))
def test_no_setting_does_more_than_be_refused(setting: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Peppers.parse(setting)
    assert len(setting) < 12 or setting not in str(error.value)


def test_no_form_of_a_pepper_shows_any_of_it() -> None:
    peppers = Peppers.parse(PEPPERS)
    pepper = peppers.first
    shown = f"{peppers!r} {peppers} {pepper!r} {pepper} {pepper.digest!r}"
    assert "<Peppers p1> <Peppers p1> <Pepper p1> <Pepper p1>" in shown
    assert TEXT not in shown
