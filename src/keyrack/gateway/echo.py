"""Finds a key in what an upstream answers, as it streams by, without holding back what cannot be one.

Looked for are the forms in which text is usually quoted: as it is, in JSON, in HTML and in a URL.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from functools import cached_property
from urllib.parse import quote, quote_plus

_SAME_EVERYWHERE = re.compile(r"[A-Za-z0-9_.-]+")
_PERCENT = re.compile("%[0-9A-F]{2}")


class EchoScanner:
    """Looks for one key in one answer. `feed` gives on what may pass; once it was found nothing may."""

    def __init__(self, key: str):
        self._key = key
        # Every form begins like this, so the forms are made only for an answer in which it stands.
        self._sign = key[: _end_of_plain(key)].encode()
        self._held = b""
        self.has_found = False

    def __repr__(self) -> str:
        return "<EchoScanner>"

    def look(self, texts: Iterable[bytes]) -> bool:
        """Whether one of these texts, each of them whole, shows the key."""
        # No form of a key has a line end in it, so all of them are searched at once.
        joined = b"\n".join(texts)
        self.has_found |= self._shows(joined)
        return self.has_found

    def feed(self, chunk: bytes) -> bytes:
        """What may pass of all that came so far and did not pass yet."""
        data = self._held + chunk if self._held else chunk
        if self.has_found or self._shows(data):
            self.has_found, self._held = True, b""
            return b""
        held = self._beginning(data)
        self._held = data[len(data) - held :]
        return data[: len(data) - held] if held else data

    def finish(self) -> bytes:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _shows(self, data: bytes) -> bool:
        return self._sign in data and any(needle in data for needle in self._needles)

    def _beginning(self, data: bytes) -> int:
        """The length of the longest end of these bytes that could begin the key."""
        if self._sign not in data:
            return _overlap(data, self._sign)
        return max(_overlap(data, needle) for needle in self._needles)

    @cached_property
    def _needles(self) -> tuple[bytes, ...]:
        return written_forms(self._key)


def written_forms(key: str) -> tuple[bytes, ...]:
    """The key as answers may quote it; most keys look the same in each form."""
    if _SAME_EVERYWHERE.fullmatch(key):
        return (key.encode(),)
    in_json, in_html = json.dumps(key)[1:-1], html.escape(key)
    in_url = (quote(key), quote(key, safe=""), quote_plus(key))
    forms = (
        key,
        in_json,
        in_json.replace("/", "\\/"),
        _escaped(in_json, "&<>", "\\u%04x"),
        # Gson; System.Text.Json.
        _escaped(in_json, "&<>='", "\\u%04x"),
        _escaped(key.replace("\\", "\\\\"), "\"&'+<>`", "\\u%04X"),
        in_html,
        in_html.replace("&#x27;", "&#39;"),
        # Mustache; .NET's encoder.
        _escaped(in_html.replace("&#x27;", "&#39;"), "/=`", "&#x%02X;"),
        _escaped(in_html, "+`", "&#x%02X;"),
        *in_url,
        *(_PERCENT.sub(lambda found: found[0].lower(), one) for one in in_url),
    )
    return tuple(dict.fromkeys(form.encode() for form in forms))


def _end_of_plain(key: str) -> int:
    """Where the first character stands that not every form leaves as it is."""
    found = _SAME_EVERYWHERE.match(key)
    return 0 if found is None else found.end()


def _escaped(text: str, characters: str, form: str) -> str:
    """The text with these characters written by their numbers."""
    return "".join(form % ord(one) if one in characters else one for one in text)


def _overlap(data: bytes, needle: bytes) -> int:
    """The length of the longest end of the data that is a beginning of the needle, less than all of it."""
    start = max(0, len(data) - len(needle) + 1)
    while (at := data.find(needle[:1], start)) >= 0:
        if needle.startswith(data[at:]):
            return len(data) - at
        start = at + 1
    return 0
