"""A key made ready to be decided on: what is known of it before anybody asks is found out once.

Nothing here is of a request. What is prepared stands as long as the record that it was made from.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from keyrack.core import scopes as algebra
from keyrack.core.checks import Rule, rules_for
from keyrack.core.model import Allowed, Key
from keyrack.core.peppers import Mac, Peppers

Roles = Mapping[str, tuple[str, ...]]
Known = tuple[bytes, Allowed | None]
"""The digest of a version, and the answer to whoever has its text."""
Proof = tuple[Mac, tuple[Known, ...]]
"""How texts are digested under one pepper, and what to compare the digest with."""

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What proves a key, what its holder is told then, and the rules that can refuse it."""

    answers: tuple[Allowed, ...]
    """For each version, what its holder is told unless a rule refuses."""
    rules: tuple[Rule, ...]
    proofs: tuple[Proof, ...]
    """For texts that we wrote, one a pepper; at least one, so that there is always a digest to make."""
    foreign: tuple[Known, ...]
    """For texts that we did not write, which were found by their digest."""
    aged: bool
    """Whether a version is digested under another pepper than the first."""


def nobody(peppers: Peppers) -> Prepared:
    """What a text of no key is compared with, so that it costs the same as a wrong secret."""
    known: tuple[Known, ...] = ((_NO_DIGEST, None),)
    return Prepared((), (), ((peppers.first.digest, known),), known, False)


def prepare(key: Key, peppers: Peppers, roles: Roles) -> Prepared:
    """What a decision needs to know of a key. A pepper that was not given proves nothing."""
    scopes = _within_role(key, roles)
    answers = tuple(Allowed(key, version, scopes) for version in key.versions)
    written = [answer for answer in answers if not answer.secret.foreign]
    named = dict.fromkeys(answer.secret.pepper for answer in written)
    proofs = tuple(
        (pepper.digest, tuple(_known(one) for one in written if one.secret.pepper == pepper.id))
        for pepper in map(peppers.get, named)
        if pepper is not None
    )
    foreign = tuple(_known(answer) for answer in answers if answer.secret.foreign)
    aged = any(version.pepper != peppers.first.id for version in key.versions)
    return Prepared(answers, rules_for(key), proofs or nobody(peppers).proofs, foreign, aged)


def prove(prepared: Prepared, text: bytes) -> Allowed | None:
    """The answer for the version that this text is, or None when it is none of them."""
    found = None
    for mac, known in prepared.proofs:
        found = matching(known, mac.digest(text)) or found
    return found


def matching(known: tuple[Known, ...], digest: bytes) -> Allowed | None:
    """The answer for the version with this digest. Every one is compared, in constant time."""
    found = None
    for other, answer in known:
        if hmac.compare_digest(digest, other):
            found = answer
    return found


def _known(answer: Allowed) -> Known:
    return answer.secret.digest, answer


def _within_role(key: Key, roles: Roles) -> tuple[str, ...]:
    return key.scopes if key.role is None else algebra.meet(key.scopes, roles.get(key.role, ()))
