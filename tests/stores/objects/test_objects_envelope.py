"""Documents: exact bytes, authenticated together with the path that they stand at."""

from __future__ import annotations

import json

import pytest

from keyrack.core.errors import ConfigurationError, Corrupted, Unavailable
from keyrack.core.events import Entry
from keyrack.core.peppers import Peppers
from keyrack.stores.objects.envelope import open_document, packed, seal_document, unpacked
from keyrack.testing import PEPPERS

GIVEN = Peppers.parse(PEPPERS)
OTHER_TEXT = Peppers.parse("p1:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ")
OTHER_ID = Peppers.parse(f"p2:{PEPPERS[3:]}")
PATH = "log/1.json"
DATA = seal_document(PATH, {"rows": [1, {"a": "é"}], "none": []}, GIVEN.first)


def test_a_document_is_json_that_says_what_it_holds() -> None:
    members = json.loads(DATA)
    assert (members["format"], members["rows"], members["none"]) == (1, [1, {"a": "é"}], [])
    assert open_document(PATH, DATA, GIVEN).items() <= members.items()


@pytest.mark.spec("LL-48")
def test_a_document_that_stands_elsewhere_does_not_authenticate() -> None:
    with pytest.raises(Corrupted, match=r"log/2\.json does not authenticate"):
        open_document("log/2.json", DATA, GIVEN)


@pytest.mark.spec("LL-48")
def test_no_byte_of_a_document_can_be_changed() -> None:
    for index in range(len(DATA)):
        altered = DATA[:index] + bytes([DATA[index] ^ 1]) + DATA[index + 1 :]
        with pytest.raises((Corrupted, ConfigurationError, Unavailable)):
            open_document(PATH, altered, GIVEN)


def test_a_pepper_that_was_not_given_is_named_unless_the_inside_is_checked_by_itself() -> None:
    with pytest.raises(ConfigurationError, match="'p1'"):
        open_document(PATH, DATA, OTHER_ID)
    assert open_document(PATH, DATA, OTHER_ID, known_only=False)["rows"] == [1, {"a": "é"}]


def test_a_pepper_with_another_text_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="not the one this store was written under"):
        open_document(PATH, DATA, OTHER_TEXT)


def test_a_later_format_is_for_a_later_version() -> None:
    with pytest.raises(Unavailable, match="upgrade"):
        open_document(PATH, DATA.replace(b'"format":1', b'"format":2', 1), GIVEN)


def test_bytes_come_back_exactly_whatever_they_are() -> None:
    entry = Entry(7, bytes(range(256)) + "é漢".encode() + b"\xed\xb2\x80", "p1", bytes(range(256)))
    row = json.loads(json.dumps(packed(entry, text=("body",))))
    assert unpacked(Entry, row, text=("body",), coded=("mac",)) == entry
