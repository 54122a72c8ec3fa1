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

_HEAD = re.compile(rf"({PREFIX.pattern})_({ENVIRONMENT.pattern})_")
_KEY_ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")
_PAIR_VALUE = {a + b: 62 * i + j for i, a in enumerate(ALPHABET) for j, b in enumerate(ALPHABET)}


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
    if len(text) > MAX_LENGTH or not text.isascii():
        return None
    body = text[-BODY_LENGTH:]
    if not body.isalnum():
        return None
    head = _HEAD.fullmatch(text, 0, len(text) - BODY_LENGTH)
    if head is None:
        return None
    data = text.encode()
    if _value(body[-CHECKSUM_LENGTH:]) != zlib.crc32(data[:-CHECKSUM_LENGTH]):
        return None
    return Credential(head[1], head[2], body[:ID_LENGTH], data)


def is_key_id(text: str) -> bool:
    """Whether text has the form of a key id."""
    return _KEY_ID.fullmatch(text) is not None


def looks_written(text: str) -> bool:
    """Whether text has the shape of our keys, whatever its checksum; such text is never foreign."""
    body = text[-BODY_LENGTH:]
    return (
        len(body) == BODY_LENGTH
        and body.isascii()
        and body.isalnum()
        and _HEAD.fullmatch(text[:-BODY_LENGTH]) is not None
    )


def checksum(data: bytes) -> str:
    """CRC-32 of data as six base62 characters, most significant first."""
    value, digits = zlib.crc32(data), ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    return digits


def _value(digits: str) -> int:
    pairs = _PAIR_VALUE
    return (pairs[digits[:2]] * 3844 + pairs[digits[2:4]]) * 3844 + pairs[digits[4:]]
