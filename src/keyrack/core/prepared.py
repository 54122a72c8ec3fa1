"""A key made ready to be decided on: what is known of it before anybody asks is found out once.

Nothing here is of a request. What is prepared stands as long as the records that it was made from.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from functools import lru_cache

from keyrack.core import scopes as algebra
from keyrack.core.checks import Charge, Proved, Rule, rules_for
from keyrack.core.model import Allowed, Key, Tenant
from keyrack.core.peppers import Mac, Peppers
from keyrack.core.policy import Policy, with_defaults

Known = tuple[bytes, Proved | None]
"""The digest of a version, and what whoever has its text has proved."""
Proof = tuple[Mac, tuple[Known, ...]]
"""How texts are digested under one pepper, and what to compare the digest with."""

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The versions of a key, and how each is proved."""

    versions: tuple[Proved, ...]
    mac: Mac
    """Digests a text that we wrote; of the key's newest pepper."""
    known: tuple[Known, ...]
    """What to compare that digest with; never empty, so that there is always a compare."""
    older: tuple[Proof, ...]
    """The same for each other pepper that a version names."""
    foreign: tuple[Known, ...]
    """For texts that we did not write, which were found by their digest."""


def nobody(peppers: Peppers) -> Prepared:
    """What a text of no key is compared with, so that it costs the same as a wrong secret."""
    known: tuple[Known, ...] = ((_NO_DIGEST, None),)
    return Prepared((), peppers.first.digest, known, (), known)


def prepare(key: Key, tenant: Tenant | None, peppers: Peppers, policy: Policy) -> Prepared:
    """What a decision needs to know of a key. A pepper that was not given proves nothing."""
    versions = _versions(key, tenant, peppers, policy)
    foreign = tuple(_known(version) for version in versions if version.answer.secret.foreign)
    stranger = nobody(peppers)
    (mac, known), *older = _proofs(versions, peppers) or [(stranger.mac, stranger.known)]
    return Prepared(versions, mac, known, tuple(older), foreign)


def prove(prepared: Prepared, text: bytes) -> Proved | None:
    """The version that this text is, or None when it is none of them."""
    found = matching(prepared.known, prepared.mac.digest(text))
    for mac, known in prepared.older:
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
    return replace(proved, answer=answer, scopes=_as_set(answer.scopes))


def _versions(key: Key, tenant: Tenant | None, peppers: Peppers, policy: Policy) -> tuple[Proved, ...]:
    charges, scopes = _charges(key, tenant, policy), _within_role(key, policy)
    aged = {secret.number: secret.pepper != peppers.first.id for secret in key.versions}
    return tuple(
        Proved(
            key=key,
            tenant=tenant,
            prefixes=policy.prefixes,
            answer=Allowed(key, secret, scopes),
            scopes=_as_set(scopes),
            rules=_shared(rules_for(key, secret, tenant)),
            charges=charges,
            aged=aged[secret.number],
            free=not charges and key.credits is None and not aged[secret.number],
        )
        for secret in key.versions
    )


def _proofs(versions: tuple[Proved, ...], peppers: Peppers) -> list[Proof]:
    """How texts that we wrote are proved, by pepper, that of the newest version first."""
    written = [version for version in reversed(versions) if not version.answer.secret.foreign]
    named = dict.fromkeys(version.answer.secret.pepper for version in written)
    return [
        (pepper.digest, tuple(_known(one) for one in written if one.answer.secret.pepper == pepper.id))
        for pepper in map(peppers.get, named)
        if pepper is not None
    ]


@lru_cache(maxsize=1000)  # many keys hold the same few sets: one object for all of them stays near
def _as_set(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(scopes)


@lru_cache(maxsize=1000)
def _shared(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return rules


def _known(version: Proved) -> Known:
    return version.answer.secret.digest, version


def _within_role(key: Key, policy: Policy) -> tuple[str, ...]:
    return key.scopes if key.role is None else algebra.meet(key.scopes, policy.roles.get(key.role, ()))


def _charges(key: Key, tenant: Tenant | None, policy: Policy) -> tuple[Charge, ...]:
    """The key's own limits, the policy's where it has none by that name, and its tenant's."""
    own = with_defaults(key.limits, policy.limits)
    shared = tenant.limits if tenant else ()
    return (
        *(Charge(f"key/{key.id}/{limit.name}", limit) for limit in own),
        *(Charge(f"tenant/{key.tenant}/{limit.name}", limit) for limit in shared),
    )
