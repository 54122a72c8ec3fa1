"""What is drawn at random for a key: its id and its text."""

from __future__ import annotations

import secrets

from keyrack.core import credential
from keyrack.core.model import Key


def new_id() -> str:
    """A random key id."""
    return _random(credential.ID_LENGTH)


def new_text(key: Key) -> str:
    """The text of a new secret of this key."""
    return credential.write(key.prefix, key.environment, key.id, _random(credential.SECRET_LENGTH))


def _random(length: int) -> str:
    return "".join(secrets.choice(credential.ALPHABET) for _ in range(length))
