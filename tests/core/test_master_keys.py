"""KEYRACK_MASTER_KEYS: what may stand in it, and that nothing of it is shown."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

import pytest
from session_bed import M1, M2, master_key

from keyrack.core.errors import ConfigurationError
from keyrack.core.master_keys import MasterKeys


def written(material: bytes, key_id: str = "m1") -> str:
    return f"{key_id}:{b64encode(material).decode()}"


def test_the_first_seals_and_all_are_found_by_their_id() -> None:
    keys = MasterKeys.parse(f"{M2},{M1}")
    assert [key.id for key in keys] == ["m2", "m1"]
    assert keys.first is keys.get("m2")
    assert keys.get("m3") is None


def test_what_is_derived_is_of_the_bytes_alone_and_differs_by_use() -> None:
    one, same = MasterKeys.parse(M1).first, MasterKeys.parse(M1.replace("m1:", "x:")).first
    other = MasterKeys.parse(master_key("m1", "other")).first
    assert (one.cipher, one.check) == (same.cipher, same.check)
    assert len(one.cipher) == 32
    assert one.cipher != other.cipher
    assert one.check != other.check
    assert not one.cipher.startswith(bytes.fromhex(one.check))


def test_what_is_derived_stays_what_it_is() -> None:
    """What is sealed in stores is opened by it for ever."""
    key_id, _, text = M1.partition(":")
    key, material = MasterKeys.parse(M1).first, b64decode(text)
    assert key.id == key_id
    assert key.cipher == hmac.digest(material, b"keyrack/master-key/cipher", "sha256")
    assert key.check == hmac.digest(material, b"keyrack/master-key/check", "sha256").hex()[:16]


def test_bytes_that_are_not_all_printable_are_no_sentence() -> None:
    assert MasterKeys.parse(written(b"correct horse battery staple 42\x7f"))


WRONG = {
    "no id": b64encode(bytes(range(0, 96, 3))).decode(),
    "an empty id": ":" + M1.partition(":")[2],
    "an id in capitals": M1.replace("m1", "M1"),
    "an id that is too long": M1.replace("m1", "m" * 17),
    "no base64": "m1:not base64 at all!",
    "more than base64": f"{M1}!",
    "base64 without its padding": M1.rstrip("="),
    "31 bytes": written(bytes(range(0, 93, 3))),
    "33 bytes": written(bytes(range(0, 99, 3))),
    "zeros": written(bytes(32)),
    "two bytes in turn": written(b"ab" * 16),
    "15 distinct bytes": written(bytes([*range(1, 30, 2), *[7] * 17])),
    "a run": written(bytes(range(32))),
    "a run backwards": written(bytes(range(255, 223, -1))),
    "a sentence": written(b"correct horse battery staple 42!"),
    "one id twice": f"{M1},{master_key('m1', 'other')}",
    "nothing": ",",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_what_is_weak_or_malformed_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MasterKeys.parse(text)
    assert caught.value.setting == "KEYRACK_MASTER_KEYS"
    secret = text.partition(":")[2].partition(",")[0] or text
    assert len(secret) < 9 or secret not in caught.value.detail


def test_16_distinct_bytes_will_do() -> None:
    assert MasterKeys.parse(written(bytes([*range(1, 32, 2), *[7] * 16]))).first.id == "m1"


def test_no_repr_shows_a_key() -> None:
    keys = MasterKeys.parse(M1)
    shown = f"{keys!r} {keys.first!r}"
    assert shown == "<MasterKeys m1> <MasterKey m1>"
