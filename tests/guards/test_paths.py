"""Odd paths: whatever a reader could take for another path is none."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrack.guards.paths import is_plain, is_plainly_encoded

PIECES = st.sampled_from(
    ["/", "//", ".", "..", "a", "B", "livez", "%", "%2f", "%2F", "%252f", "%2e", "%5c", "%00", "%41",
     "%C3%A9", "%7e", "\\", ";x=1", "?", "#", " ", "\n", "\r", "\0", "\x7f", "é", "\ufffd", "\u2028", "~",
     "%zz", "%2"]
)  # fmt: skip
PATHS = st.lists(PIECES, max_size=6).map("".join)


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs/", "/jobs/a.b", "/.well-known/x", "/a..b", "/é", "/a b", "/...", "/a;b"]
)
def test_plain_paths_are_read(path: str) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    ["", "jobs", "*", "//jobs", "/jobs//7", "/./jobs", "/jobs/..", "/jobs/../x", "/..", "/a\\b", "/a%2fb",
     "/a%", "/jobs\n", "/a\0b", "/a\x7f", "/a\x85b", "/a\u2028b", "/a\ufffdb", "http://host/jobs", "/jobs/."],
)  # fmt: skip
def test_odd_paths_are_not(path: str) -> None:
    assert not is_plain(path)


@given(PATHS)
def test_nothing_that_readers_do_to_a_path_changes_a_plain_one(path: str) -> None:
    if is_plain(path):
        assert unquote(path) == path
        assert path.replace("\\", "/") == path
        assert posixpath.normpath(path) == (path.rstrip("/") or "/")
        assert path.strip("\r\n\0") == path


@pytest.mark.parametrize(
    "raw", [b"", b"/jobs/7", b"/a%20b", b"/%C3%A9", b"/~a", b"/%7ea", b"/a%3Fb", b"/a%22"]
)
def test_plainly_encoded_paths_are_read(raw: bytes) -> None:
    assert is_plainly_encoded(raw)


@pytest.mark.parametrize(
    "raw",
    [b"/a%2Fb", b"/a%2fb", b"/%2e%2e", b"/a%5Cb", b"/%252f", b"/%25", b"/%", b"/%2", b"/%zz", b"/%00",
     b"/%0a", b"/%7F", b"/live%7A", b"/%41", b"/%30", b"/%5F", b"/%2D"],
)  # fmt: skip
def test_other_encodings_are_not(raw: bytes) -> None:
    assert not is_plainly_encoded(raw)


@given(PATHS)
def test_a_plainly_encoded_path_has_its_slashes_before_and_after_decoding(raw: str) -> None:
    if is_plainly_encoded(raw.encode()):
        assert unquote(raw).count("/") == raw.count("/")
        assert unquote(unquote(raw)) == unquote(raw)


@given(st.text(max_size=20))
def test_what_a_client_encodes_as_it_should_is_read(text: str) -> None:
    clean = text.encode("utf-8", "ignore").decode().replace("%", "").replace("\\", "")
    clean = "".join(character for character in clean if character.isprintable())
    assert is_plainly_encoded(quote(clean, safe="/~").encode())
