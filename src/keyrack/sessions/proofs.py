"""Session tokens for a Verifier: from a text to the version of a key that it stands for, cheap steps first.

The signature comes last, and once for each token: what is remembered is a digest, never a token.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

from keyrack.core.checks import Proved, Refused
from keyrack.core.model import Denied, Reason, Session
from keyrack.core.sealed import SealedSecret
from keyrack.core.session import MAX_LENGTH, Claimed, narrowed, read
from keyrack.stores.replica import Replica

MAX_REMEMBERED = 4_000
"""How many tokens are known to be signed; beyond that all are let go, and checked again when they come."""
_UNKNOWN = Refused(Denied(Reason.UNKNOWN))
_UNCONFIGURED = Refused(Denied(Reason.UNCONFIGURED))


class _Remembered(NamedTuple):
    """A token whose signature is right, and what was made of the records that it met."""

    claimed: Claimed
    key: SealedSecret
    version: Proved
    narrowed: Proved


class SessionProofs:
    """Proves session tokens on a replica. Any thread may ask."""

    def __init__(self) -> None:
        self._remembered: dict[bytes, _Remembered] = {}

    def prove(self, text: str, replica: Replica) -> Proved | Refused | None:
        """The version that a token stands for, as it is now and no wider than the token; None for other
        texts.

        Signing key, key and version are found in memory before the signature is checked.
        """
        if not text.startswith("eyJ") or len(text) > MAX_LENGTH or not text.isascii():
            return None
        slot = hashlib.sha256(text.encode()).digest()
        known = self._remembered.get(slot)
        claimed = known.claimed if known else read(text)
        if claimed is None:
            return None
        key = replica.signing_keys.get(claimed.kid)
        version = None if key is None else version_of(claimed.session, replica)
        if key is None or version is None:
            return _UNKNOWN
        if known and known.key is key and known.version is version:
            return known.narrowed
        refused = None if known else _refuse_signature(text, key.facts["x"])
        return refused or self._remember(slot, claimed, key, version)

    def _remember(self, slot: bytes, claimed: Claimed, key: SealedSecret, version: Proved) -> Proved:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        proved = narrowed(version, _ended_with(claimed.session, key))
        self._remembered[slot] = _Remembered(claimed, key, version, proved)
        return proved


def version_of(session: Session, replica: Replica) -> Proved | None:
    """The version of a key that a session stands for, as it is now, whole."""
    prepared = replica.find(session.key_id)
    if prepared is None:
        return None
    found = (one for one in prepared.versions if one.answer.secret.number == session.version)
    version = next(found, None)
    return version if version is not None and version.key.tenant == session.tenant else None


def _ended_with(session: Session, key: SealedSecret) -> Session:
    """A session ends with the key that signed it, if that is sooner."""
    if key.not_after is None:
        return session
    return replace(session, ends_at=min(session.ends_at, int(key.not_after.timestamp())))


def _refuse_signature(text: str, x: str) -> Refused | None:
    """Why a token is not believed, or None. Without the library it is our own trouble, and no 401."""
    try:
        from keyrack.sessions.signing import is_signed
    except ModuleNotFoundError:
        return _UNCONFIGURED
    return None if is_signed(text, x) else _UNKNOWN
