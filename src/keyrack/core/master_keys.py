"""The keys under which reversible secrets are sealed, by id: 32 random bytes each, the first one seals.

What is used is derived from them, one label for each use. No repr and no error shows any of it.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from keyrack.core.errors import ConfigurationError

SETTING = "KEYRACK_MASTER_KEYS"
SIZE = 32
MIN_DISTINCT = 16
"""Of 32 random bytes far more are distinct; fewer are somebody's pattern."""
_ID = re.compile(r"[a-z0-9]{1,16}")


class MasterKey:
    """One master key, and what is derived from it."""

    __slots__ = ("check", "cipher", "id")

    def __init__(self, key_id: str, material: bytes):
        self.id: Final = key_id
        self.cipher: Final = _derive(material, "cipher")
        """The 32 bytes that AES-256-GCM takes."""
        self.check: Final = _derive(material, "check")[:8].hex()
        """Tells, without telling the key, whether it is the one that something was sealed under."""

    def __repr__(self) -> str:
        return f"<MasterKey {self.id}>"


class MasterKeys:
    """An ordered set of master keys: the first seals, all open."""

    __slots__ = ("_by_id", "first")

    def __init__(self, keys: list[MasterKey]):
        if not keys:
            raise ConfigurationError(SETTING, "must read `id:base64`, of 32 random bytes.")
        self.first: Final = keys[0]
        self._by_id: Final = {key.id: key for key in keys}
        if len(self._by_id) != len(keys):
            raise ConfigurationError(SETTING, "names one id twice.")

    @classmethod
    def parse(cls, text: str) -> MasterKeys:
        """Read `m2:<base64>,m1:<base64>`. Raises ConfigurationError, which never quotes a key."""
        return cls([_parse_one(part) for part in text.split(",") if part])

    def get(self, key_id: str) -> MasterKey | None:
        """The master key of that id, or None when this process was not given it."""
        return self._by_id.get(key_id)

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._by_id.values())

    def __repr__(self) -> str:
        return f"<MasterKeys {','.join(self._by_id)}>"


def _parse_one(part: str) -> MasterKey:
    key_id, separator, text = part.partition(":")
    if not separator or _ID.fullmatch(key_id) is None:
        raise ConfigurationError(SETTING, "must read `id:base64`, the id 1 to 16 of a-z and 0-9.")
    reason = _weakness(material := _decoded(text))
    if reason is not None:
        raise ConfigurationError(SETTING, f"the master key {key_id!r} {reason}.")
    return MasterKey(key_id, material)


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64, none where it is not in base64."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _weakness(material: bytes) -> str | None:
    """Why these bytes are no master key, as the rest of a sentence, or None when they may be one."""
    if len(material) != SIZE:
        return f"is not {SIZE} bytes in base64"
    if len(set(material)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} distinct bytes"
    if len({(after - before) % 256 for before, after in pairwise(material)}) == 1:
        return "is a run of neighbouring bytes"
    if all(0x20 <= byte < 0x7F for byte in material):
        return "is text, where it must be random bytes"
    return None


def _derive(material: bytes, label: str) -> bytes:
    return hmac.digest(material, f"keyrack/master-key/{label}".encode(), "sha256")
