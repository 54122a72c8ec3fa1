"""AES-256-GCM under a master key: a fresh 96-bit nonce each time, bound to the place of the secret.

The one module that seals and opens; NIST SP 800-38D. Needs the extra `sessions`.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyrack.core.master_keys import MasterKey, MasterKeys
from keyrack.core.sealed import FORMAT, Ciphertext

NONCE_BYTES = 12


def seal(plain: bytes, master_key: MasterKey, context: bytes) -> Ciphertext:
    """The ciphertext of these bytes, which opens in this context alone."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    bound = _bound(master_key, context)
    payload = nonce + _aead(master_key.cipher).encrypt(nonce, plain, bound)
    return Ciphertext(master_key.id, master_key.check, urlsafe_b64encode(payload).decode().rstrip("="))


def unseal(ciphertext: Ciphertext, master_keys: MasterKeys, context: bytes) -> bytes | None:
    """The plain bytes; None when no key given opens them here. A ciphertext is never taken for plain."""
    master_key = master_keys.get(ciphertext.master_key)
    if master_key is None or master_key.check != ciphertext.check:
        return None
    payload = _decoded(ciphertext.payload)
    try:
        return _aead(master_key.cipher).decrypt(
            payload[:NONCE_BYTES], payload[NONCE_BYTES:], _bound(master_key, context)
        )
    except (InvalidTag, ValueError):  # the second for a nonce that was cut short
        return None


# Making one costs more than opening a key with it, and the gateway opens one for every request.
_aead = lru_cache(16)(AESGCM)


@lru_cache(1024)
def _decoded(payload: str) -> bytes:
    """The bytes of a payload; none when it is not written as `seal` writes it."""
    padded = payload + "=" * (-len(payload) % 4)
    try:
        data = urlsafe_b64decode(padded)
    except ValueError:
        return b""
    return data if urlsafe_b64encode(data).decode() == padded else b""


def _bound(master_key: MasterKey, context: bytes) -> bytes:
    return f"{FORMAT}/{master_key.id}/".encode() + context
