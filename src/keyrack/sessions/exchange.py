"""Sessions: a proved key is exchanged for a signed token that can do no more than it, and not for long."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from keyrack.core import fields
from keyrack.core import scopes as algebra
from keyrack.core.authority import Authority
from keyrack.core.errors import NotHeld, Unavailable
from keyrack.core.master_keys import MasterKeys
from keyrack.core.model import Allowed, Session
from keyrack.core.sealed import SealedSecret
from keyrack.core.session import ANY_SERVICE, MAX_LENGTH, MAX_LIFE, claims, jwk
from keyrack.sessions.keys import SigningKeys, current, is_due, published
from keyrack.vault.secrets import Vault
from keyrack.verifier import Verifier


@dataclass(frozen=True, slots=True)
class SessionWish:
    """The session that is wanted: by default for all of the key's scopes, any service and 15 minutes."""

    scopes: Sequence[str] | None = None
    ttl_seconds: int = int(MAX_LIFE.total_seconds())
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A session and, this once, its token."""

    session: Session
    token: str = field(repr=False)

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        return datetime.fromtimestamp(self.session.ends_at, UTC)


class Sessions:
    """Exchanges keys for sessions on the store of a Verifier, and publishes the keys that sign them."""

    def __init__(self, verifier: Verifier, master_keys: MasterKeys | None):
        self._verifier = verifier
        self._stores = verifier.stores
        self._signing_keys = SigningKeys(verifier.stores, Vault(master_keys))

    def exchange(self, allowed: Allowed, wish: SessionWish | None = None) -> Exchanged:
        """A session for a key that was just proved: never wider than it, and never beyond its end.

        Raises SessionPresented, ValidationFailed, NotHeld; Unavailable, and Unconfigured without master
        keys; Conflict (`unsupported_store`) for keys in the environment.
        """
        Authority.of(allowed).refuse_session()
        now = int(self._stores.clock())
        session = _session(allowed, wish or SessionWish(), now)
        return Exchanged(session, self._signed(session, now))

    def jwks(self) -> dict[str, Any]:
        """The public keys of all sessions that may still run (RFC 7517). Raises Unavailable."""
        if self._verifier.doubt() is not None:
            raise Unavailable("The signing keys are not known at the moment.")
        return {"keys": [jwk(key) for key in published(self._known(), self._now())]}

    def _signed(self, session: Session, now: int) -> str:
        key = self._signing_key()
        said = claims(session, issued_at=now, token_id=secrets.token_urlsafe(12))
        token = self._signing_keys.sign(said, key)
        if len(token) > MAX_LENGTH:
            raise fields.refuse("scopes", f"Name fewer: a token has at most {MAX_LENGTH} characters.")
        return token

    def _signing_key(self) -> SealedSecret:
        key = current(self._known())
        if key is not None and not is_due(key, self._now()):
            return key
        made = self._signing_keys.renew()
        self._verifier.spread(made.revision, wait=False)
        return made

    def _known(self) -> list[SealedSecret]:
        # Copied in one step of the interpreter: the follower adds to it meanwhile.
        return list(self._verifier.follower.replica.signing_keys.values())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._stores.clock(), UTC)


def _session(allowed: Allowed, wish: SessionWish, now: int) -> Session:
    return Session(
        key_id=allowed.key.id,
        version=allowed.secret.number,
        tenant=allowed.key.tenant,
        scopes=_scopes(allowed, wish),
        ends_at=_end(allowed, wish, now),
        audience=_audience(wish),
    )


def _scopes(allowed: Allowed, wish: SessionWish) -> tuple[str, ...]:
    if wish.scopes is None:
        return allowed.scopes
    wanted = fields.scopes(wish.scopes, "scopes")
    not_held = algebra.missing(allowed.scopes, wanted)
    if not_held:
        raise NotHeld(not_held)
    return wanted


def _end(allowed: Allowed, wish: SessionWish, now: int) -> int:
    """Unix seconds: after the time wished for, or with the key or this version of it if that is sooner."""
    most = int(MAX_LIFE / timedelta(seconds=1))
    if not 1 <= wish.ttl_seconds <= most:
        raise fields.refuse("ttl_seconds", f"Give 1 to {most} seconds.")
    ends = (allowed.key.expires_at, allowed.secret.not_after)
    return min([now + wish.ttl_seconds, *(int(end.timestamp()) for end in ends if end is not None)])


def _audience(wish: SessionWish) -> str | None:
    if wish.audience in (None, ANY_SERVICE):
        return None
    return fields.name(wish.audience, "audience")
