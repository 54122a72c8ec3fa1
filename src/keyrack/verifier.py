"""Credential → Decision: extract, parse, look up, prove, check, spend, note, on what is in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self, cast

from keyrack.admin.founding import found, import_static, static_callers
from keyrack.core.checks import Proved, Refused, charged
from keyrack.core.http import Presented
from keyrack.core.model import Access, Address, Allowed, Decision, Denied, Key, Limit, Reason, Tenant
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.credit_spending import CreditSpender, CreditWatcher
from keyrack.deciding import ANYTHING, Ceiling
from keyrack.issuer import Issuer
from keyrack.lookups import LookUps
from keyrack.proving import Prover, below, of_tenant, remembered
from keyrack.redigesting import Redigests
from keyrack.remote.verifier import open_remote
from keyrack.spending import Spender
from keyrack.stores.counters import Taken
from keyrack.stores.follower import Follower
from keyrack.stores.journal import NOWHERE, Notebook, Origin
from keyrack.stores.opened import Clock, Stores
from keyrack.stores.replica import NotInMemory
from keyrack.stores.static import StaticKeys
from keyrack.stores.urls import is_server, open_stores
from keyrack.tenancy import Tenants
from keyrack.upkeep import Upkeep

DEFAULT_POLL = 0.5


class Spent(NamedTuple):
    """A decision, and what it was charged for."""

    decision: Decision
    proved: Proved | Refused
    access: Access
    at: float


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
        replica_max_keys: int | None = None,
        open_when_down: bool = False,
    ):
        self.stores = stores
        self.policy = policy or Policy()
        self.policy_digest = self.policy.digest()
        self.follower = Follower(
            stores.keys,
            stores.peppers,
            self.policy,
            max_stale=max_stale,
            max_keys=replica_max_keys,
            fixed=stores.fixed,
        )
        self.lookups = LookUps(stores.keys, self.follower)
        self.notebook = Notebook()
        self._spender = Spender(stores.counters, self.policy, open_when_down=open_when_down)
        self._credits = CreditSpender(stores, self.follower)
        self._redigests = Redigests(stores.peppers)
        self._upkeep = Upkeep(stores, self.follower, self.notebook, self._spender, self._redigests, poll=poll)
        self._counting_waits = stores.counters.blocks
        self._clock = stores.clock
        self._is_partial = replica_max_keys is not None
        self._prover = Prover(self.follower, self.lookups, stores.peppers)
        self._prove = self._prover.prove if self._is_partial else self._prover.prove_held

    @classmethod
    def open(
        cls,
        url: str,
        *,
        peppers: Peppers | str | None = None,
        policy: Policy | None = None,
        static: StaticKeys | None = None,
        key: str | None = None,
        counters: str | None = None,
        counters_max_entries: int | None = None,
        credits: str | None = None,  # noqa: A002  # named like its setting
        create: bool = False,
        max_stale: float | None = None,
        poll: float = DEFAULT_POLL,
        replica_max_keys: int | None = None,
        open_when_down: bool = False,
        clock: Clock = time.time,
    ) -> Verifier:
        """Open a store by its URL, load it, and keep it in step until `close`.

        `static` is a service's own table of callers: with `env:` its keys are all there are, with any
        other URL they are imported once. `create` makes a missing store. With `replica_max_keys` it holds
        at most so many keys in memory, and reads others when they are presented. `counters_max_entries`
        bounds how many limits are counted at once (docs/reference/limits.md). Raises ConfigurationError,
        Unavailable or Tampered.

        `https://…` names a Keyrack server, which is asked with `key`, or with KEYRACK_KEY; it has the
        peppers, the policy and the counters, and whatever needs them is refused by name.
        """
        if is_server(url):
            remote = open_remote(url, key=key, max_stale=max_stale, clock=clock)
            # It has all that decides. What stands beside that is no part of a server seen from outside.
            return cast("Verifier", remote)
        policy = policy or Policy()
        stores = open_stores(
            url,
            peppers=peppers,
            counters=counters,
            counters_max_entries=counters_max_entries,
            credits=credits,
            create=create,
            clock=clock,
        )
        with ExitStack() as undone:
            undone.callback(stores.close)
            if create or stores.fixed or url == "memory:":
                found(stores, max_stale=max_stale)
            import_static(stores, static_callers(url, static, policy), policy)
            verifier = cls(
                stores,
                policy=policy,
                max_stale=max_stale,
                poll=poll,
                replica_max_keys=replica_max_keys,
                open_when_down=open_when_down,
            )
            verifier.start()
            undone.pop_all()
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

    def tenants(self) -> Tenants:
        """What makes and changes tenants on the same store, known here at once."""
        return Tenants(self.stores, spread=self.spread)

    def spread(self, number: int, wait: bool) -> None:
        """Bring a commit made beside this Verifier to its replica, and wait for the other nodes.

        With `wait` it returns once no node can decide without the event: see Issuer.revoke.
        """
        self._upkeep.spread(number, wait)

    def verify(
        self,
        presented: Presented,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
        within: str | None = None,
    ) -> Decision:
        """Decide on the text of a key, or on what `extract` found in a request. Never raises for a bad one.

        With `within`, keys of any other tenant are unknown to whoever asks.
        """
        now = self._clock()
        proved = self._prove(presented)
        if ceiling is not None:
            proved = below(proved, ceiling)
        if within is not None:
            proved = of_tenant(proved, within)
        decision = proved.check(access, now)
        if decision is not proved.answer or not proved.free or access.limits:
            self._redigest(decision, proved, presented)
            decision = self._spend(decision, proved, access, now)
        self.notebook.note((decision, access.address, now, origin))
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
        proved = self._prove(presented)
        if ceiling is not None:
            proved = below(proved, ceiling)
        decision = proved.check(replace(access, scopes=()) if access.scopes else access, now)
        self._redigest(decision, proved, presented)
        if isinstance(decision, Denied):
            decision = self._spend(decision, proved, access, now)
            self.notebook.note((decision, access.address, now, origin))
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
        spent = self.spend(identified, access, ceiling=ceiling)
        self.keep(spent, origin)
        return spent.decision

    def spend(self, identified: Allowed, access: Access, *, ceiling: Ceiling | None = None) -> Spent:
        """`allow` as long as it may still come to nothing: `keep` it, or `give_back` what it cost."""
        now = self._clock()
        proved = self._prover.again(identified, ceiling)
        decision = self._spend(proved.check(access, now), proved, access, now)
        return Spent(decision, proved, access, now)

    def keep(self, spent: Spent, origin: Origin = NOWHERE) -> None:
        """Note what was spent, as it was decided."""
        self.notebook.note((spent.decision, spent.access.address, spent.at, origin))

    def give_back(self, spent: Spent, denied: Denied, origin: Origin = NOWHERE) -> Denied:
        """Undo the limits of what passed, and note this refusal instead; it says what is left of them."""
        proved, access = spent.proved, spent.access
        if spent.decision.rates and not isinstance(proved, Refused):
            charges = charged(proved, access)
            denied = self._credits.give_back(denied, charges, access, spent.at)
        self.notebook.note((denied, access.address, spent.at, origin))
        return denied

    def recheck(self, identified: Allowed, access: Access, *, ceiling: Ceiling | None = None) -> Decision:
        """Whether what passed would pass now, for work that goes on: spends nothing, and is not noted."""
        return self._prover.again(identified, ceiling).check(access, self._clock())

    def charge(self, bucket: str, limits: Sequence[Limit]) -> Taken:
        """Charge one unit to limits of a service's own, as for an address that has shown no key.

        They are counted beside those of keys, once for all processes. What did not fit says how long to
        wait. May wait for a network. Raises Unavailable when nothing can be counted.
        """
        return self._spender.charge(bucket, limits, self._clock())

    def tenant(self, tenant_id: str) -> Tenant | None:
        """A tenant as decisions see it, or None where it has no record."""
        return self.follower.replica.tenants.get(tenant_id)

    @property
    def missing_tenants(self) -> list[str]:
        """Tenants without a record that keys name which were presented here; those keys are refused."""
        return sorted(self.follower.replica.missing_tenants.copy())

    @property
    def max_stale(self) -> float:
        """Seconds after a commit from which on no node of the store decides without it."""
        return self.follower.max_stale_anywhere

    def prove(
        self,
        presented: Presented,
        address: Address | None,
        origin: Origin = NOWHERE,
        *,
        within: str | None = None,
    ) -> Proved | Denied:
        """Which version of which key a text is, for whoever decides elsewhere what it may do.

        A refusal is final, counted and noted here; what is proved is charged and noted by whoever decides.
        """
        now = self._clock()
        proved = remembered(self._prove(presented), now)
        if within is not None:
            proved = of_tenant(proved, within)
        if isinstance(proved, Proved):
            self._redigest(proved.check(_identity(proved.key, address), now), proved, presented)
            return proved
        denied = self._spender.refuse(proved.answer, (), address, now)
        self.notebook.note((denied, address, now, origin))
        return denied

    def waits(self, presented: Presented, access: Access = ANYTHING) -> bool:
        """Whether a decision on this may wait for a network; an event loop then asks for it in a thread.

        So it is where limits, of the key or of the access, are counted behind one, or credits are kept
        behind one; for keys that a partial replica does not hold; and never for bad credentials.
        """
        if not self.may_wait:
            return False
        try:
            proved = self._prover.prove_held(presented)
        except NotInMemory:
            return True
        if isinstance(proved, Refused):
            return False
        is_counted = self._counting_waits and bool(charged(proved, access))
        return is_counted or (self._credits.blocks and _pays(proved.key, access))

    def watch_credits(self, watch: CreditWatcher) -> None:
        """Have this called with each balance that a decision here is the first in its period to find used up.

        It is given what the refusal says as well. It is called within the decision, so it waits for nothing.
        """
        self._credits.watchers.append(watch)

    @property
    def may_wait(self) -> bool:
        """Whether there are decisions here that wait for a network: `waits` says which."""
        return self._counting_waits or self._credits.blocks or self._is_partial

    @property
    def clock(self) -> Clock:
        """The store's time, in Unix seconds."""
        return self._clock

    @property
    def uncounted(self) -> Mapping[str, int]:
        """Requests since the start whose limits could not be counted, by `refused` and `passed`."""
        return self._spender.uncounted

    @property
    def trouble(self) -> str | None:
        """One sentence for operators on why the replica is not confirmed, while it is not; else None."""
        return self.follower.trouble

    def doubt(self) -> Reason | None:
        """Why nothing can be decided now, or None: nothing configured passes nothing."""
        return self.follower.doubt()

    def _spend(self, decision: Decision, proved: Proved | Refused, access: Access, now: float) -> Decision:
        charges = () if isinstance(proved, Refused) else charged(proved, access)
        if isinstance(decision, Denied):
            return self._spender.refuse(decision, charges, access.address, now)
        taken = self._spender.take(decision, charges, access, now) if charges else decision
        if isinstance(taken, Denied) or not _pays(taken.key, access):
            return taken
        return self._credits.take(taken, charges, access, now)

    def _redigest(self, decision: Decision, proved: Proved | Refused, presented: str) -> None:
        """Have a version digested anew that has just passed and whose pepper was rotated out."""
        if isinstance(proved, Refused) or not proved.aged or isinstance(decision, Denied):
            return
        if decision.secret.pepper in self.follower.replica.head.retired:
            self._redigests.note(decision.key, decision.secret, presented.encode("ascii"))


def _pays(key: Key, access: Access) -> bool:
    """Whether an access of this key costs credits of its owner."""
    return access.credits and key.credits is not None


def _identity(key: Key, address: Address | None) -> Access:
    """What asks nothing of a key but that it works."""
    return Access(environments=(key.environment,), prefixes=(key.prefix,), address=address)
