"""The text of a key: written, parsed and checked, nothing looked up and nothing proved.

`kr_live_` + 50 base62 characters: 12 key id, 32 secret (190 bits), 6 checksum, which is the CRC-32
of all that stands before it. Only underscores join the parts, so a double click takes it whole.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
BODY_LENGTH = ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
MAX_LENGTH = 512
PREFIX = re.compile(r"[a-z][a-z0-9]{1,15}")
ENVIRONMENT = re.compile(r"[a-z][a-z0-9]{0,15}")
SCANNER_PATTERN = r"\b[a-z][a-z0-9]{1,15}_[a-z][a-z0-9]{0,15}_[0-9A-Za-z]{50}\b"
"""What a secret scanner looks for; the checksum tells a key from a look-alike."""

_HEAD_PATTERN = re.compile(rf"({PREFIX.pattern})_({ENVIRONMENT.pattern})_")
_HEAD, _BODY = slice(None, -BODY_LENGTH), slice(-BODY_LENGTH, None)
_ID = slice(-BODY_LENGTH, ID_LENGTH - BODY_LENGTH)
_CHECKED, _CHECKSUM = slice(None, -CHECKSUM_LENGTH), slice(-CHECKSUM_LENGTH, None)
"""The parts of a text, counted from its end."""
_KEY_ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")
_1ST, _2ND, _3RD, _4TH, _5TH, _6TH = (
    tuple(max(ALPHABET.find(chr(byte)), 0) * 62**place for byte in range(128)) for place in (5, 4, 3, 2, 1, 0)
)
"""What each byte is worth in each place of a checksum."""
_MAX_HEADS = 64
_heads: set[str] = set()
"""What stood before the body of keys met so far; a service sees a handful."""


class Credential(NamedTuple):
    """A parsed key text. Its repr never shows the secret."""

    prefix: str
    environment: str
    key_id: str
    text: bytes

    def __repr__(self) -> str:
        return f"<Credential {self.prefix}_{self.environment}_{self.key_id[:4]}…>"


def write(prefix: str, environment: str, key_id: str, secret: str) -> str:
    """The key text of these parts; key_id and secret are base62 of 12 and 32 characters."""
    body = f"{prefix}_{environment}_{key_id}{secret}"
    return body + checksum(body.encode())


def parse(text: str) -> Credential | None:
    """The credential that this text is, or None when its form or its checksum is wrong."""
    found = read(text)
    if found is None:
        return None
    prefix, environment, _ = text.split("_")
    return Credential(prefix, environment, *found)


def read(text: str) -> tuple[str, bytes] | None:
    """The key id and the bytes of a text that parses: all that a decision needs of it, and quickly."""
    if len(text) > MAX_LENGTH or not text.isascii():
        return None
    data = text.encode()
    if not data[_BODY].isalnum() or (text[_HEAD] not in _heads and not _learn(text[_HEAD])):
        return None
    a, b, c, d, e, f = data[_CHECKSUM]
    if _1ST[a] + _2ND[b] + _3RD[c] + _4TH[d] + _5TH[e] + _6TH[f] != zlib.crc32(data[_CHECKED]):
        return None
    return text[_ID], data


def is_key_id(text: str) -> bool:
    """Whether text has the form of a key id."""
    return _KEY_ID.fullmatch(text) is not None


def looks_written(text: str) -> bool:
    """Whether text has the shape of our keys, whatever its checksum; such text is never foreign."""
    body = text[_BODY]
    return (
        len(body) == BODY_LENGTH
        and body.isascii()
        and body.isalnum()
        and _HEAD_PATTERN.fullmatch(text[_HEAD]) is not None
    )


def checksum(data: bytes) -> str:
    """CRC-32 of data as six base62 characters, most significant first."""
    value, digits = zlib.crc32(data), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _learn(text: str) -> bool:
    if _HEAD_PATTERN.fullmatch(text) is None:
        return False
    # Only what has the form of a head is kept: other text may be a part of somebody's secret.
    if len(_heads) < _MAX_HEADS:
        _heads.add(text)
    return True
