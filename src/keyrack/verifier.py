"""Credential → Decision: extract, parse, look up, prove, check, spend, note, on what is in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from keyrack.core import scopes as algebra
from keyrack.core.checks import Question, Rule, first_refusal
from keyrack.core.credential import MAX_LENGTH, looks_written, parse
from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Denied, Key, Reason
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.core.prepared import matching, nobody, prove
from keyrack.founding import found, import_static, static_callers
from keyrack.issuer import Issuer
from keyrack.redigesting import Redigests
from keyrack.spending import Spender
from keyrack.stores.follower import Follower
from keyrack.stores.journal import NOWHERE, Notebook, Origin
from keyrack.stores.opened import Clock, Stores
from keyrack.stores.static import StaticKeys
from keyrack.stores.urls import open_stores
from keyrack.upkeep import Upkeep

DEFAULT_POLL = 0.5

Ceiling = Callable[[Key], tuple[str, ...]]
"""What a key may do at most, by a rule of the service; memory only, asked at every decision."""

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
        poll: float = DEFAULT_POLL,
        open_when_down: bool = False,
    ):
        self.stores = stores
        self.policy = policy or Policy()
        self.follower = Follower(stores.keys, stores.peppers, roles=self.policy.roles, max_stale=max_stale)
        self.notebook = Notebook()
        self._spender = Spender(stores.counters, self.policy, open_when_down=open_when_down)
        self._redigests = Redigests(stores.peppers)
        self._upkeep = Upkeep(stores, self.follower, self.notebook, self._spender, self._redigests, poll=poll)
        self._clock = stores.clock
        self._peppers = stores.peppers
        self._nobody = nobody(stores.peppers)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        peppers: Peppers | str | None = None,
        policy: Policy | None = None,
        static: StaticKeys | None = None,
        counters: str | None = None,
        create: bool = False,
        max_stale: float | None = None,
        poll: float = DEFAULT_POLL,
        open_when_down: bool = False,
        clock: Clock = time.time,
    ) -> Verifier:
        """Open a store by its URL, load it, and keep it in step until `close`.

        `static` is a service's own table of callers: with `env:` its keys are all there are, with any
        other URL they are imported once. `create` makes a missing store. Raises ConfigurationError,
        Unavailable or Tampered.
        """
        policy = policy or Policy()
        stores = open_stores(url, peppers=peppers, counters=counters, create=create, clock=clock)
        if create or stores.fixed or url == "memory:":
            found(stores)
        import_static(stores, static_callers(url, static, policy), policy)
        verifier = cls(stores, policy=policy, max_stale=max_stale, poll=poll, open_when_down=open_when_down)
        verifier.start()
        return verifier

    def start(self) -> None:
        """Load the replica and start following. Raises what loading raises."""
        self._upkeep.start()

    def close(self) -> None:
        """Write what was noted, stop following, and let go of the store."""
        self._upkeep.stop()
        self.stores.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def issuer(self) -> Issuer:
        """An Issuer on the same store, whose changes this Verifier knows at once."""
        return Issuer(self.stores, self.policy, spread=self.spread)

    def spread(self, number: int, wait: bool) -> None:
        """Bring a commit made beside this Verifier to its replica, and wait for the other nodes.

        With `wait` it returns once no node can decide without the event: see Issuer.revoke.
        """
        self._upkeep.spread(number, wait)

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
        within: str | None = None,
    ) -> Decision:
        """Decide on what `extract` found in a request. Never raises for a bad credential.

        With `within`, keys of any other tenant are unknown to whoever asks.
        """
        now = self._clock()
        decision = self._judge(presented, access, now, ceiling)
        if within is not None and decision.key is not None and decision.key.tenant != within:
            decision = _DENIED[Reason.UNKNOWN]
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
        decision = self._judge_again(identified, access, now, ceiling)
        decision = self._spend(decision, access, now)
        self.notebook.note(decision, access.address, now, origin)
        return decision

    def doubt(self) -> Reason | None:
        """Why nothing can be decided now, or None: nothing configured passes nothing."""
        if self.stores.fixed and not len(self.follower.replica):
            return Reason.UNCONFIGURED
        return self.follower.doubt()

    def _judge(self, presented: Presented, access: Access, now: float, ceiling: Ceiling | None) -> Decision:
        doubt = self.doubt()
        if doubt is not None:
            return _DENIED[doubt]
        credential = parse(presented)
        if credential is None:
            return self._judge_other(presented, access, now, ceiling)
        prepared = self.follower.replica.find(credential.key_id)
        if prepared is None and self.follower.replica.foreign_peppers:
            return self._judge_foreign(credential.text, access, now, ceiling)
        prepared = prepared or self._nobody
        answer = prove(prepared, credential.text)
        if answer is None:
            return _DENIED[Reason.UNKNOWN]
        decision = self._check(prepared.rules, answer, access, now, ceiling)
        if prepared.aged:
            self._note_aged(decision, credential.text)
        return decision

    def _judge_other(
        self, presented: Presented, access: Access, now: float, ceiling: Ceiling | None
    ) -> Decision:
        """Decide where there is no text of our form: on none at all, or on a foreign one."""
        if isinstance(presented, Reason):
            return _DENIED[presented]
        if not self.follower.replica.foreign_peppers or not _may_be_foreign(presented):
            return _DENIED[Reason.MALFORMED]
        return self._judge_foreign(presented.encode("ascii"), access, now, ceiling)

    def _judge_foreign(self, text: bytes, access: Access, now: float, ceiling: Ceiling | None) -> Decision:
        """Decide on a text that is found by its digest: a foreign one, or a static key of our own form."""
        replica = self.follower.replica
        for pepper in replica.foreign_peppers:
            digest = self._peppers[pepper].index.digest(text)
            prepared = replica.find_foreign(digest) or self._nobody
            answer = matching(prepared.foreign, digest)
            if answer is not None:
                decision = self._check(prepared.rules, answer, access, now, ceiling)
                self._note_aged(decision, text)
                return decision
        return _DENIED[Reason.UNKNOWN]

    def _judge_again(
        self, identified: Allowed, access: Access, now: float, ceiling: Ceiling | None
    ) -> Decision:
        """Decide on a key that was proved before, as it is now."""
        doubt = self.doubt()
        if doubt is not None:
            return _DENIED[doubt]
        prepared = self.follower.replica.find(identified.key.id) or self._nobody
        for answer in prepared.answers:
            if answer.secret.number == identified.secret.number:
                return self._check(prepared.rules, answer, access, now, ceiling)
        return _DENIED[Reason.UNKNOWN]

    def _check(
        self,
        rules: tuple[Rule, ...],
        answer: Allowed,
        access: Access,
        now: float,
        ceiling: Ceiling | None,
    ) -> Decision:
        if ceiling is not None:
            answer = answer._replace(scopes=algebra.meet(answer.scopes, ceiling(answer.key)))
        key, secret, scopes, _ = answer
        tenant = self.follower.replica.tenants.get(key.tenant)
        question = Question(key, secret, access, now, tenant, scopes, self.policy.prefixes)
        return first_refusal(rules, question) or answer

    def _note_aged(self, decision: Decision, text: bytes) -> None:
        """Have a version digested anew that has just passed and whose pepper was rotated out."""
        if isinstance(decision, Allowed) and decision.secret.pepper in self.follower.replica.head.retired:
            self._redigests.note(decision.key, decision.secret, text)

    def _spend(self, decision: Decision, access: Access, now: float) -> Decision:
        key = decision.key
        tenant = self.follower.replica.tenants.get(key.tenant) if key else None
        return self._spender.spend(decision, tenant, access, now)


def _may_be_foreign(text: str) -> bool:
    return len(text) <= MAX_LENGTH and text.isascii() and not looks_written(text)
