"""Which paths a guard reads at all: those that every reader of them reads alike.

A guard and a framework that understand one path differently are a way around the guard. So a path
that is not written plainly (encoded slashes, dot segments, empty segments …) is no path of any row.
"""

from __future__ import annotations

import re

_PLAINLY_ENCODED = re.compile(
    # High bytes, and of ASCII only what has to be encoded: never a letter, digit, `.`, `/`, `\`, `-`,
    # `_`, `%` or a control character, which some readers decode before they split and some after.
    rb"(?:[^%]|%(?:[89A-Fa-f][0-9A-Fa-f]|2[0-46-9A-Ca-c]|3[A-Fa-f]|40|5[BDEbde]|60|7[B-Eb-e]))*"
)

_ODD = re.compile(
    # An escaped slash, backslash, dot or control character; an escape that is bad, or of an escape; the
    # same unescaped, and what is not ASCII.
    rb"%(?:2[EeFf]|5[Cc]|[01][0-9A-Fa-f]|7[Ff]|25[0-9A-Fa-f]{2})|%(?![0-9A-Fa-f]{2})|[^!-~]|[\\#?]"
    # An empty segment, a dot segment, and what becomes one where `;parameters` are cut off.
    rb"|/[/;]|/\.{1,2}(?:[/;]|%3[Bb]|\Z)"
)


def is_plain(path: str) -> bool:
    """Whether a decoded path is one that every framework splits into the same segments."""
    if not path.startswith("/") or "//" in path or "\\" in path or "%" in path:
        return False
    # Also refuses control characters: `$` in a framework's pattern stands before a last newline, too.
    if not path.isprintable() or "\ufffd" in path:
        return False
    return "/." not in path or not _has_dot_segment(path)


def is_plainly_encoded(raw: bytes) -> bool:
    """Whether only what must be percent-encoded is, once: decoding twice or never changes no slash."""
    return b"%" not in raw or _PLAINLY_ENCODED.fullmatch(raw) is not None


def reads_in_two_ways(raw: bytes) -> bool:
    """Whether an encoded path is one that two readers on its way could take for two resources."""
    return _ODD.search(raw) is not None


def _has_dot_segment(path: str) -> bool:
    return not {".", ".."}.isdisjoint(path.split("/"))
