"""Ed25519 keys and the JSON Web Tokens that they sign (RFC 8037). Needs the extra `sessions`."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keyrack.core.session import ALGORITHM, encoded, header

_JWS = jwt.PyJWS(algorithms=[ALGORITHM])


class KeyPair(NamedTuple):
    """A new signing key: its private bytes, and the public one in base64url. Its repr shows no secret."""

    private: bytes
    x: str

    def __repr__(self) -> str:
        return f"<KeyPair {self.x}>"


def generate() -> KeyPair:
    """A random signing key."""
    private = Ed25519PrivateKey.generate()
    return KeyPair(private.private_bytes_raw(), encoded(private.public_key().public_bytes_raw()))


def thumbprint(x: str) -> str:
    """The id of a public key: its SHA-256 thumbprint (RFC 7638; RFC 8037, appendix A.3)."""
    required = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return encoded(hashlib.sha256(required.encode()).digest())


def sign(claims: Mapping[str, Any], private: bytes, kid: str) -> str:
    """The token that says these claims."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers=header(kid))


def is_signed(token: str, x: str) -> bool:
    """Whether this public key's holder signed this text. Costs a hundred times what a key's proof does."""
    try:
        _JWS.decode(token, _public(x), algorithms=[ALGORITHM])
    except jwt.InvalidTokenError:
        return False
    return True


@lru_cache(maxsize=64)
def _public(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(x + "=" * (-len(x) % 4)))
