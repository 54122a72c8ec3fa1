"""The secrets of the server, by id, and the keys derived from them, one label for each use.

A pepper's text is its key material; nothing is decoded. HKDF-SHA-256 (RFC 5869) derives a key a
label, so that what one use shows never helps with another. No repr shows any of it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Final

from keyrack.core.errors import ConfigurationError
from keyrack.core.strength import weakness

SETTING = "KEYRACK_PEPPERS"
_ID = re.compile(r"[a-z0-9]{1,16}")
_BLOCK = hashlib.sha256().block_size


class Mac:
    """HMAC-SHA-256 under one key, its padded blocks hashed beforehand, so a digest is two copies."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes):
        block = key.ljust(_BLOCK, b"\0")
        self._inner: Final = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer: Final = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, data: bytes) -> bytes:
        """The 32 bytes of the code."""
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def agrees(self, data: bytes, code: bytes) -> bool:
        """Whether code is the one of data, in constant time."""
        return hmac.compare_digest(self.digest(data), code)


class Pepper:
    """One pepper and the codes derived from it."""

    __slots__ = ("check", "digest", "id", "index", "log", "marks", "receipts", "record", "state")

    def __init__(self, pepper_id: str, text: str):
        material = text.encode("ascii")
        self.id: Final = pepper_id
        self.digest: Final = Mac(_derive(material, "digest"))
        """Of key texts that we wrote."""
        self.index: Final = Mac(_derive(material, "index"))
        """Of foreign texts, which are found by it."""
        self.record: Final = Mac(_derive(material, "record"))
        self.log: Final = Mac(_derive(material, "log"))
        self.state: Final = Mac(_derive(material, "state"))
        self.marks: Final = Mac(_derive(material, "idempotency"))
        self.receipts: Final = Mac(_derive(material, "receipts"))
        self.check: Final = Mac(_derive(material, "check")).digest(b"")[:8].hex()
        """Tells, without telling the pepper, whether it is the one that a log was written under."""

    def __repr__(self) -> str:
        return f"<Pepper {self.id}>"


class Peppers:
    """An ordered set of peppers: the first digests, all prove."""

    __slots__ = ("_by_id", "first")

    def __init__(self, peppers: list[Pepper]):
        if not peppers:
            raise ConfigurationError(SETTING, "is missing; it holds `id:text` with a text of 32 characters.")
        self.first: Final = peppers[0]
        self._by_id: Final = {pepper.id: pepper for pepper in peppers}
        if len(self._by_id) != len(peppers):
            raise ConfigurationError(SETTING, "names one id twice.")

    @classmethod
    def parse(cls, text: str) -> Peppers:
        """Read `p2:<text>,p1:<text>`. Raises ConfigurationError, which never quotes a text."""
        return cls([_parse_one(part) for part in text.split(",") if part])

    def get(self, pepper_id: str) -> Pepper | None:
        """The pepper of that id, or None when this process was not given it."""
        return self._by_id.get(pepper_id)

    def __getitem__(self, pepper_id: str) -> Pepper:
        pepper = self._by_id.get(pepper_id)
        if pepper is None:
            raise ConfigurationError(SETTING, f"lacks the pepper {pepper_id!r}, which the store needs.")
        return pepper

    def __iter__(self) -> Iterator[Pepper]:
        return iter(self._by_id.values())

    def __repr__(self) -> str:
        return f"<Peppers {','.join(self._by_id)}>"


def _parse_one(part: str) -> Pepper:
    pepper_id, separator, text = part.partition(":")
    if not separator or _ID.fullmatch(pepper_id) is None:
        raise ConfigurationError(SETTING, "must read `id:text`, the id 1 to 16 of a-z and 0-9.")
    reason = weakness(text)
    if reason is not None:
        raise ConfigurationError(SETTING, f"the text of pepper {pepper_id!r} {reason}.")
    return Pepper(pepper_id, text)


def _derive(material: bytes, label: str) -> bytes:
    """One block of HKDF-SHA-256 with an empty salt (RFC 5869, section 2)."""
    pseudorandom = hmac.digest(bytes(32), material, "sha256")
    return hmac.digest(pseudorandom, f"keyrack/{label}".encode() + b"\x01", "sha256")
