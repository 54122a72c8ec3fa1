"""The cipher: what is sealed opens in its own place, under its own key, and not with a bit changed."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_bed import BOTH, M1, ONE, master_key

from keyrack.core.errors import Unavailable
from keyrack.core.master_keys import MasterKeys
from keyrack.core.records import read_secret, write_secret
from keyrack.core.sealed import SealedSecret, parse
from keyrack.vault.cipher import NONCE_BYTES, seal, unseal
from keyrack.vault.secrets import Unconfigured, Vault

AT = datetime(2030, 1, 31, tzinfo=UTC)
PLAIN = b"the key of an upstream"
FACTS = {"origins": ["https://a.example:443", "https://b.example:443"]}
EMPTY = SealedSecret("upstream", "acme", "maps", 2, AT, facts=FACTS)
SEALED = Vault(ONE).sealed(EMPTY, PLAIN)


def opens(secret: SealedSecret, keys: MasterKeys = ONE) -> bool:
    """Whether a secret opens, to what was sealed; anything but that is a fault."""
    try:
        plain = Vault(keys).opened(secret)
    except Unavailable:
        return False
    assert plain == PLAIN
    return True


def test_what_is_sealed_is_opened() -> None:
    assert opens(SEALED)
    assert opens(SEALED, BOTH)


def test_the_text_names_its_format_and_its_master_key() -> None:
    assert SEALED.ciphertext is not None
    text = SEALED.ciphertext.text
    assert text.startswith(f"kr-sealed-1.m1.{ONE.first.check}.")
    assert parse(text) == SEALED.ciphertext


MOVED: dict[str, dict[str, Any]] = {
    "another purpose": {"purpose": "session"},
    "another tenant": {"tenant": "umbrella"},
    "another name": {"name": "routes"},
    "another version": {"version": 3},
    "another origin": {"facts": {"origins": ["https://evil.example:443"]}},
    "one origin less": {"facts": {"origins": ["https://a.example:443"]}},
    "no facts": {"facts": {}},
    "parts that read alike": {"tenant": "acme/maps", "name": ""},
}


@pytest.mark.parametrize("place", MOVED.values(), ids=list(MOVED))
def test_moved_to_another_place_it_does_not_open(place: dict[str, Any]) -> None:
    assert not opens(replace(SEALED, **place))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_with_any_byte_changed_it_does_not_open(place: int, change: int) -> None:
    assert SEALED.ciphertext is not None
    data = bytearray(SEALED.ciphertext.text.encode())
    data[place % len(data)] ^= change
    text = data.decode("latin-1")
    assert not opens(replace(SEALED, ciphertext=parse(text)))


@given(st.integers(min_value=0, max_value=200))
def test_cut_short_or_grown_it_does_not_open(length: int) -> None:
    assert SEALED.ciphertext is not None
    payload = SEALED.ciphertext.payload
    for other in (payload[:length], payload + "A" * (length + 1)):
        if other != payload:
            assert not opens(replace(SEALED, ciphertext=SEALED.ciphertext._replace(payload=other)))


@pytest.mark.parametrize(
    "keys", [master_key("m2"), master_key("m1", "other"), f"m2:{M1.partition(':')[2]}"], ids=str.__len__
)
def test_another_key_does_not_open_it_whatever_its_id(keys: str) -> None:
    assert not opens(SEALED, MasterKeys.parse(keys))


def test_a_key_of_another_id_does_not_open_it_though_the_text_is_made_to_name_it() -> None:
    """The id stands in what is bound, so no text can be handed from one key to the next."""
    same = MasterKeys.parse(f"m2:{M1.partition(':')[2]}")
    assert SEALED.ciphertext is not None
    assert not opens(replace(SEALED, ciphertext=SEALED.ciphertext._replace(master_key="m2")), same)


def test_every_nonce_is_fresh() -> None:
    payloads = [seal(PLAIN, ONE.first, b"").payload for _ in range(200)]
    nonces = {urlsafe_b64decode(payload + "==")[:NONCE_BYTES] for payload in payloads}
    assert len(nonces) == 200
    assert {len(nonce) for nonce in nonces} == {12}


def test_a_text_that_is_not_sealed_is_never_taken_for_a_plain_one() -> None:
    for text in (
        "",
        "the key of an upstream",
        "kr-sealed-2.m1.0000000000000000.AAAA",
        "kr-sealed-1.m1..AAAA",
    ):
        assert parse(text) is None
    erased = replace(SEALED, ciphertext=None)
    assert not opens(erased)


def test_without_master_keys_nothing_is_sealed_or_opened() -> None:
    for work in (lambda: Vault(None).sealed(EMPTY, PLAIN), lambda: Vault(None).opened(SEALED)):
        with pytest.raises(Unconfigured) as caught:
            work()
        assert (caught.value.status, caught.value.code) == (503, "unavailable")
        assert (caught.value.reason, caught.value.details) == ("unconfigured", {"reason": "unconfigured"})


def test_the_record_keeps_all_of_it_and_what_later_formats_add() -> None:
    whole = replace(SEALED, not_after=AT, revision=7, unknown={"colour": "red"})
    body = write_secret(whole)
    assert read_secret(body) == whole
    assert read_secret(write_secret(EMPTY)) == EMPTY
    assert PLAIN not in body


def test_no_repr_shows_plain_or_ciphertext() -> None:
    assert SEALED.ciphertext is not None
    assert SEALED.ciphertext.payload not in repr(SEALED)


def test_another_context_of_the_same_length_does_not_open() -> None:
    ciphertext = seal(PLAIN, ONE.first, b"one")
    assert unseal(ciphertext, ONE, b"one") == PLAIN
    assert unseal(ciphertext, ONE, b"two") is None


def test_a_ciphertext_has_one_text() -> None:
    """Its last character has bits to spare: with them set the same bytes would be read."""
    ciphertext = SEALED.ciphertext
    assert ciphertext is not None
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    texts = [ciphertext._replace(payload=ciphertext.payload[:-1] + end) for end in alphabet]
    assert [one for one in texts if opens(replace(SEALED, ciphertext=one))] == [ciphertext]
