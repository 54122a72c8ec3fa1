"""A key made ready to be decided on: what is known of it before anybody asks is found out once.

Nothing here is of a request. What is prepared stands as long as the records that it was made from.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from keyrack.core import scopes as algebra
from keyrack.core.checks import Charge, Proved, rules_for
from keyrack.core.model import Allowed, Key, Tenant
from keyrack.core.peppers import Mac, Peppers
from keyrack.core.policy import Policy

Known = tuple[bytes, Proved | None]
"""The digest of a version, and what whoever has its text has proved."""
Proof = tuple[Mac, tuple[Known, ...]]
"""How texts are digested under one pepper, and what to compare the digest with."""

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The versions of a key, and how each is proved."""

    versions: tuple[Proved, ...]
    proofs: tuple[Proof, ...]
    """For texts that we wrote, one a pepper; at least one, so that there is always a digest to make."""
    foreign: tuple[Known, ...]
    """For texts that we did not write, which were found by their digest."""


def nobody(peppers: Peppers) -> Prepared:
    """What a text of no key is compared with, so that it costs the same as a wrong secret."""
    known: tuple[Known, ...] = ((_NO_DIGEST, None),)
    return Prepared((), ((peppers.first.digest, known),), known)


def prepare(key: Key, tenant: Tenant | None, peppers: Peppers, policy: Policy) -> Prepared:
    """What a decision needs to know of a key. A pepper that was not given proves nothing."""
    charges, scopes = _charges(key, tenant, policy), _within_role(key, policy)
    aged = {secret.number: secret.pepper != peppers.first.id for secret in key.versions}
    versions = tuple(
        Proved(
            key=key,
            tenant=tenant,
            prefixes=policy.prefixes,
            answer=Allowed(key, secret, scopes),
            scopes=frozenset(scopes),
            rules=rules_for(key, secret, tenant),
            charges=charges,
            aged=aged[secret.number],
            free=not charges and not aged[secret.number],
        )
        for secret in key.versions
    )
    foreign = tuple(_known(version) for version in versions if version.answer.secret.foreign)
    return Prepared(versions, _proofs(versions, peppers) or nobody(peppers).proofs, foreign)


def prove(prepared: Prepared, text: bytes) -> Proved | None:
    """The version that this text is, or None when it is none of them."""
    found = None
    for mac, known in prepared.proofs:
        found = matching(known, mac.digest(text)) or found
    return found


def matching(known: tuple[Known, ...], digest: bytes) -> Proved | None:
    """The version with this digest. Every one is compared, in constant time."""
    found = None
    for other, proved in known:
        if hmac.compare_digest(digest, other):
            found = proved
    return found


def below(proved: Proved, ceiling: tuple[str, ...]) -> Proved:
    """The same version, able to do no more than the ceiling."""
    answer = proved.answer._replace(scopes=algebra.meet(proved.answer.scopes, ceiling))
    return replace(proved, answer=answer, scopes=frozenset(answer.scopes))


def _proofs(versions: tuple[Proved, ...], peppers: Peppers) -> tuple[Proof, ...]:
    written = [version for version in versions if not version.answer.secret.foreign]
    named = dict.fromkeys(version.answer.secret.pepper for version in written)
    return tuple(
        (pepper.digest, tuple(_known(one) for one in written if one.answer.secret.pepper == pepper.id))
        for pepper in map(peppers.get, named)
        if pepper is not None
    )


def _known(version: Proved) -> Known:
    return version.answer.secret.digest, version


def _within_role(key: Key, policy: Policy) -> tuple[str, ...]:
    return key.scopes if key.role is None else algebra.meet(key.scopes, policy.roles.get(key.role, ()))


def _charges(key: Key, tenant: Tenant | None, policy: Policy) -> tuple[Charge, ...]:
    """The key's own limits, the policy's where it has none by that name, and its tenant's."""
    named = {limit.name for limit in key.limits}
    own = (*key.limits, *(limit for limit in policy.limits if limit.name not in named))
    shared = tenant.limits if tenant else ()
    return (
        *(Charge(f"key/{key.id}/{limit.name}", limit) for limit in own),
        *(Charge(f"tenant/{key.tenant}/{limit.name}", limit) for limit in shared),
    )
