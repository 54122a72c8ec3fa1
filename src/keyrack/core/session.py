"""Session tokens: a signed JWT (RFC 7519, Ed25519) that stands for a key, for less of it, and not for long.

Read before anything is proved: length, form, the one header there is, the claims. Nothing here looks
anything up, and nothing read here is believed until the signature was checked.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from keyrack.core import scopes as algebra
from keyrack.core.checks import Proved
from keyrack.core.credential import is_key_id
from keyrack.core.errors import InvalidRequest
from keyrack.core.model import Access, Denied, Reason, Session
from keyrack.core.sealed import SealedSecret
from keyrack.core.strict_json import read as read_json

ALGORITHM = "EdDSA"
TYPE = "kr-session+jwt"
ISSUER = "keyrack"
ANY_SERVICE = "keyrack"
"""The audience of a token that is not meant for one service."""
MAX_LENGTH = 4096
MAX_LIFE = timedelta(minutes=15)
SIGNING_PURPOSE = "session"
"""The purpose under which signing keys are kept among the sealed secrets."""
_CLAIMS = frozenset({"iss", "aud", "sub", "ver", "scope", "tenant", "iat", "exp", "jti"})
_TOKEN = re.compile(r"(eyJ[\w-]+)\.([\w-]+)\.([\w-]{86})", re.ASCII)
"""Three parts in base64url; the last is the 64 bytes of an Ed25519 signature."""


class Claimed(NamedTuple):
    """What a token says of itself, not proved yet: who signed it, and for which session."""

    kid: str
    session: Session


def header(kid: str) -> dict[str, str]:
    """The header of every token; one that has another is none of ours."""
    return {"alg": ALGORITHM, "kid": kid, "typ": TYPE}


def claims(session: Session, *, issued_at: int, token_id: str) -> dict[str, Any]:
    """The claims that say this session."""
    return {
        "iss": ISSUER,
        "aud": session.audience or ANY_SERVICE,
        "sub": session.key_id,
        "ver": session.version,
        "tenant": session.tenant,
        "scope": " ".join(session.scopes),
        "iat": issued_at,
        "exp": session.ends_at,
        "jti": token_id,
    }


def jwk(key: SealedSecret) -> dict[str, str]:
    """The public part of a signing key as a JSON Web Key (RFC 8037)."""
    kid, x = key.facts["kid"], key.facts["x"]
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": ALGORITHM}


def read(text: str) -> Claimed | None:
    """What this text claims, or None when it is no session token."""
    found = _TOKEN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    kid = None if found is None else _kid(found[1])
    # The last character of a signature has bits to spare, so a second text would say the same.
    if found is None or kid is None or found[3][-1] not in "AQgw":
        return None
    session = _session(_object(found[2]))
    return None if session is None else Claimed(kid, session)


def narrowed(proved: Proved, session: Session) -> Proved:
    """A version of a key as its session may use it: never more than the key, nor than was asked for."""
    scopes = algebra.meet(session.scopes, proved.answer.scopes)
    return replace(
        proved,
        answer=proved.answer._replace(scopes=scopes, session=session),
        scopes=frozenset(scopes),
        rules=(not_over, meant_for_service, *proved.rules),
        # What is presented is not the key's text, so no digest of it may be kept.
        aged=False,
        free=not proved.charges and proved.key.credits is None,
    )


def encoded(data: bytes) -> str:
    """Bytes in base64url without padding, as JOSE writes them."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def not_over(proved: Proved, access: Access, at: float) -> Denied | None:
    """A session ends at its time, whatever its key may still do."""
    session = proved.answer.session
    if session is None or at < session.ends_at:
        return None
    return Denied(Reason.EXPIRED, proved.key, proved.answer.secret, {"session": "expired"})


def meant_for_service(proved: Proved, access: Access, at: float) -> Denied | None:
    """A token for one service is as good as none at another."""
    session = proved.answer.session
    named = None if session is None else session.audience
    return None if named is None or named == access.service else Denied(Reason.UNKNOWN)


@lru_cache(maxsize=64)
def _kid(part: str) -> str | None:
    """The key id in a header that is exactly one of ours."""
    members = _object(part)
    kid = members.get("kid")
    return kid if isinstance(kid, str) and members == header(kid) else None


def _object(part: str) -> Mapping[str, Any]:
    """The JSON object in a part; an empty one when there is none."""
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        members = read_json(data)
    except (ValueError, InvalidRequest):
        return {}
    return members if isinstance(members, dict) else {}


def _session(said: Mapping[str, Any]) -> Session | None:
    if said.keys() != _CLAIMS or not _is_well_formed(said):
        return None
    audience = None if said["aud"] == ANY_SERVICE else said["aud"]
    return Session(
        key_id=said["sub"],
        version=said["ver"],
        tenant=said["tenant"],
        scopes=tuple(said["scope"].split()),
        audience=audience,
        ends_at=said["exp"],
    )


def _is_well_formed(said: Mapping[str, Any]) -> bool:
    texts = all(isinstance(said[name], str) for name in ("aud", "sub", "tenant", "scope", "jti"))
    numbers = all(type(said[name]) is int for name in ("ver", "iat", "exp"))
    if not texts or not numbers or said["iss"] != ISSUER or not is_key_id(said["sub"]):
        return False
    return bool(0 < said["exp"] - said["iat"] <= MAX_LIFE.total_seconds())
