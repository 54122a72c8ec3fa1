"""Credential → Decision: extract, parse, look up, prove, check, spend, note, on what is in memory."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from keyrack.core import scopes as algebra
from keyrack.core.checks import Question, first_refusal
from keyrack.core.credential import MAX_LENGTH, looks_written, parse
from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Denied, Key, Reason, Secret
from keyrack.core.policy import Policy
from keyrack.core.rotation import RECOGNISED_FOR
from keyrack.core.strength import weakness
from keyrack.spending import Spender
from keyrack.stores.follower import Follower
from keyrack.stores.journal import NOWHERE, Notebook, Origin
from keyrack.stores.opened import Stores
from keyrack.stores.replica import Prepared

Ceiling = Callable[[Key], tuple[str, ...]]
"""What a key may do at most, by a rule of the service; memory only, asked at every decision."""

_NO_DIGEST = bytes(32)
_DENIED = {reason: Denied(reason) for reason in Reason}


class Verifier:
    """Decides whether a request that carries a credential may pass.

    Open one for each process, share it between threads, and close it: `with Verifier.open(url)`.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        policy: Policy | None = None,
        max_stale: float | None = None,
        open_when_down: bool = False,
    ):
        self.stores = stores
        self.policy = policy or Policy()
        self.follower = Follower(stores.keys, stores.peppers, max_stale=max_stale)
        self.notebook = Notebook()
        self.spender = Spender(stores.counters, self.policy, open_when_down=open_when_down)
        self._clock = stores.clock
        self._peppers = stores.peppers

    def verify(self, text: str, access: Access, origin: Origin = NOWHERE) -> Decision:
        """Decide on the text of a key. Never raises for a bad one."""
        return self.decide(text or Reason.MISSING, access, origin)

    def decide(
        self,
        presented: Presented,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """Decide on what `extract` found in a request. Never raises for a bad credential."""
        now = self._clock()
        decision = self._judge(presented, access, now, ceiling)
        decision = self._spend(decision, access, now)
        self.notebook.note(decision, access.address, now, origin)
        return decision

    def identify(
        self,
        presented: Presented,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """Decide all but scopes, for a handler that will `allow` once it knows what is asked.

        A refusal is final and noted here; what passes is charged and noted by `allow`.
        """
        now = self._clock()
        decision = self._judge(presented, replace(access, scopes=()), now, ceiling)
        if isinstance(decision, Denied):
            decision = self._spend(decision, access, now)
            self.notebook.note(decision, access.address, now, origin)
        return decision

    def allow(
        self,
        identified: Allowed,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """The second half of `identify`: check the key as it is now, spend, note."""
        now = self._clock()
        prepared = self.follower.replica.find(identified.key.id)
        known = prepared and _version(prepared.key, identified.secret.number)
        doubt = self.follower.doubt()
        decision: Decision = _DENIED[doubt or Reason.UNKNOWN]
        if prepared and known and doubt is None:
            decision = self._check(prepared, known, access, now, ceiling)
        decision = self._spend(decision, access, now)
        self.notebook.note(decision, access.address, now, origin)
        return decision

    def _judge(self, presented: Presented, access: Access, now: float, ceiling: Ceiling | None) -> Decision:
        doubt = self.follower.doubt()
        if doubt is not None:
            return _DENIED[doubt]
        if isinstance(presented, Reason):
            return _DENIED[presented]
        credential = parse(presented)
        if credential is None:
            return self._judge_foreign(presented, access, now, ceiling)
        prepared = self.follower.replica.find(credential.key_id)
        secret = self._proved(prepared, credential.text)
        if prepared is None or secret is None or _forgotten(secret, now):
            return _DENIED[Reason.UNKNOWN]
        return self._check(prepared, secret, access, now, ceiling)

    def _judge_foreign(self, text: str, access: Access, now: float, ceiling: Ceiling | None) -> Decision:
        """Look up a text that we did not write by its digest; it has to be a strong one."""
        peppers = self.follower.replica.foreign_peppers
        if not peppers or len(text) > MAX_LENGTH or looks_written(text) or weakness(text) is not None:
            return _DENIED[Reason.MALFORMED]
        for pepper in peppers:
            digest = self._peppers[pepper].index.digest(text.encode("ascii"))
            prepared = self.follower.replica.find_foreign(digest)
            secret = _matching(prepared, digest)
            if prepared and secret and not _forgotten(secret, now):
                return self._check(prepared, secret, access, now, ceiling)
        return _DENIED[Reason.UNKNOWN]

    def _proved(self, prepared: Prepared | None, text: bytes) -> Secret | None:
        """The version of the key that this text is; an unknown key costs the same as a wrong secret."""
        if prepared is None:
            return _matching(None, self._peppers.first.digest.digest(text))
        if prepared.pepper is not None:
            return _matching(prepared, self._peppers[prepared.pepper].digest.digest(text))
        digests = {one.pepper: self._peppers[one.pepper].digest.digest(text) for one in prepared.key.versions}
        found = [_matching(prepared, digest, pepper) for pepper, digest in digests.items()]
        return next(filter(None, found), None)

    def _check(
        self, prepared: Prepared, secret: Secret, access: Access, now: float, ceiling: Ceiling | None
    ) -> Decision:
        key = prepared.key
        scopes = key.scopes
        if key.role is not None:
            scopes = algebra.meet(scopes, self.policy.roles.get(key.role, ()))
        if ceiling is not None:
            scopes = algebra.meet(scopes, ceiling(key))
        question = Question(
            key,
            secret,
            access,
            datetime.fromtimestamp(now, UTC),
            self.follower.replica.tenants.get(key.tenant),
            scopes,
            self.policy.prefixes,
        )
        return first_refusal(prepared.rules, question) or Allowed(key, secret, scopes)

    def _spend(self, decision: Decision, access: Access, now: float) -> Decision:
        key = decision.key
        tenant = self.follower.replica.tenants.get(key.tenant) if key else None
        return self.spender.spend(decision, tenant, access, now)


def _matching(prepared: Prepared | None, digest: bytes, pepper: str | None = None) -> Secret | None:
    """The version with this digest. Every one is compared, in constant time; with none, a dummy is."""
    if prepared is None:
        hmac.compare_digest(digest, _NO_DIGEST)
        return None
    found = None
    for version in prepared.key.versions:
        if hmac.compare_digest(digest, version.digest) and pepper in (None, version.pepper):
            found = version
    return found


def _version(key: Key, number: int) -> Secret | None:
    return next((version for version in key.versions if version.number == number), None)


def _forgotten(secret: Secret, now: float) -> bool:
    """Whether a version ended so long ago that it is no longer told from an unknown text."""
    if secret.not_after is None:
        return False
    return now >= secret.not_after.timestamp() + RECOGNISED_FOR.total_seconds()
