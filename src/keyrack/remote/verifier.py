"""Decides for one process on keys that live at a Keyrack server, which proves and counts.

What was proved is kept, and its accesses are decided here as a Verifier decides them; the server is
asked about texts that are not known, about keys whose use is counted, and about what would be refused,
so that limits, failures and denials are counted in one place. Only the limits of an Access are counted
here, since the server does not know of them. Peppers and digests never leave it.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from keyrack.client import Client
from keyrack.client.values import Answer
from keyrack.core.checks import Charge, Proved, Refused, charged
from keyrack.core.errors import ConfigurationError, KeyrackError
from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Denied, Reason
from keyrack.core.policy import Policy
from keyrack.core.prepared import below
from keyrack.deciding import ANYTHING, Ceiling
from keyrack.remote.following import KEY, Following
from keyrack.remote.known import Known
from keyrack.remote.proving import Prover, denied_of, trouble
from keyrack.remote.reports import Reports
from keyrack.spending import Spender
from keyrack.stores.counters import MemoryCounters, Spend
from keyrack.stores.journal import NOWHERE, Notebook, Origin
from keyrack.stores.opened import Clock

TIMEOUT_SECONDS = 5.0
MAX_CALLS = 16
ROOM_SECONDS = 1.0
"""How long a decision on a known key waits for one of those calls to end."""
_running: weakref.WeakSet[RemoteVerifier] = weakref.WeakSet()


class Identified(Allowed):
    """What `identify` let pass, with the text for `allow` to ask about; the text is in no repr."""

    text: Presented


class RemoteVerifier:
    """Decides as a Verifier does. Open one for each process, share it between threads, and close it.

    `connect` makes a client of the server that tries so many times again; what it made is closed here.
    """

    def __init__(
        self, connect: Callable[[int], Client], *, max_stale: float | None = None, clock: Clock = time.time
    ):
        self.known = Known()
        self.notebook = Notebook()
        # Following and reporting go on by themselves.
        self.following = Following(connect(0), self.known, max_stale=max_stale, clock=clock)
        self.clock = self.following.now
        self._client = connect(1)
        self._prover = Prover(self._client, self.known, lambda: self.following.foreign)
        self._reports = Reports(connect(0), self.notebook, self.clock)
        self._room = threading.BoundedSemaphore(MAX_CALLS)
        self._counters = MemoryCounters()
        self._limits = Spender(self._counters, Policy())
        self._closed = False

    def start(self) -> None:
        """Hear of the server, and follow it. Raises Unavailable and ConfigurationError."""
        self.following.start()
        self._reports.start()
        _running.add(self)

    def close(self) -> None:
        """Report what was noted, and decide nothing any more; to close it again does nothing."""
        if self._closed:
            return
        self._closed = True
        _running.discard(self)
        self.following.stop()
        self._reports.stop()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def trouble(self) -> str | None:
        """One sentence for operators on why the server is not followed, while it is not; else None."""
        return self.following.trouble

    def doubt(self) -> Reason | None:
        """Why nothing can be decided now, or None."""
        return self.following.doubt()

    def issuer(self) -> Any:
        """Keys are made and changed at the server: raises ConfigurationError."""
        raise ConfigurationError("KEYRACK_STORE", "names a server; make and change keys with keyrack.Client.")

    def waits(self, presented: Presented, access: Access = ANYTHING) -> bool:
        """Whether the server has to be asked about this credential."""
        found = self._prover.peek(presented)
        return found is None or (isinstance(found, Proved) and not found.free)

    def verify(
        self,
        presented: Presented,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """Decide on the text of a key, or on what `extract` found in a request."""
        now = self.clock()
        proved = self._prove(presented, access)
        decision = proved.check(access, now)
        if isinstance(proved, Refused):
            return self._note(decision, access, now, origin)
        if isinstance(decision, Denied):
            return self._note(self._confirm(decision, presented, access), access, now, origin)
        bounded = _within(proved, ceiling).check(access, now)
        if isinstance(bounded, Allowed) and access.limits:
            bounded = self._limits.take(bounded, charged(proved, access), access, now)
        if isinstance(bounded, Denied) or proved.free:
            return self._note(bounded, access, now, origin)
        decision = self._spend(bounded, presented, access, now, origin)
        if isinstance(decision, Denied) and access.limits:
            self._give_back(charged(proved, access), access, now)
        return decision

    def identify(
        self,
        presented: Presented,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """Decide all but scopes. A refusal is final; what passes is charged and noted by `allow`."""
        now, asked = self.clock(), replace(access, scopes=())
        proved = self._prove(presented, access)
        decision = _within(proved, ceiling).check(asked, now)
        if isinstance(decision, Allowed):
            return _identified(decision, presented)
        if isinstance(proved, Proved):
            decision = self._confirm(decision, presented, asked)
        return self._note(decision, access, now, origin)

    def allow(
        self,
        identified: Allowed,
        access: Access,
        origin: Origin = NOWHERE,
        *,
        ceiling: Ceiling | None = None,
    ) -> Decision:
        """The second half of `identify`: check the key as it is now, spend, note."""
        text = identified.text if isinstance(identified, Identified) else Reason.UNKNOWN
        decision = self.verify(text, access, origin, ceiling=ceiling)
        return _identified(decision, text) if isinstance(decision, Allowed) else decision

    def orphan(self) -> None:
        """After a fork no thread is there any more, so the child decides nothing."""
        self.following.abandon()

    def _prove(self, presented: Presented, access: Access) -> Proved | Refused:
        doubt = self.following.doubt()
        if doubt is not None:
            return Refused(Denied(doubt))
        return self._prover.prove(presented, access.address)

    def _confirm(self, denied: Denied, presented: Presented, access: Access) -> Denied:
        """Have the server refuse what is refused here, so that it is counted and noted there.

        While it cannot be asked, or cannot be asked just this, what was found here stands.
        """
        # A question names no prefixes, so the server might let pass, and charge, what is refused here.
        if access.prefixes or denied.reason is Reason.STORE_DOWN:
            return denied
        answer = self._ask(presented, access)
        if not isinstance(answer, Answer) or answer.valid:
            return denied
        return denied_of(answer, denied.key, denied.secret)

    def _spend(
        self, allowed: Allowed, presented: Presented, access: Access, now: float, origin: Origin
    ) -> Decision:
        """Have the server decide on, charge and note what passes here."""
        answer = self._ask(presented, access)
        if not isinstance(answer, Answer):
            return self._note(Denied(answer, allowed.key, allowed.secret), access, now, origin)
        if answer.valid:
            return allowed._replace(rates=(*allowed.rates, *answer.limits))
        return self._note(denied_of(answer, allowed.key, allowed.secret), access, now, origin)

    def _give_back(self, charges: Sequence[Charge], access: Access, now: float) -> None:
        """What is denied keeps nothing."""
        self._counters.give_back([Spend(one.bucket, one.limit, access.cost) for one in charges], now)

    def _ask(self, presented: Presented, access: Access) -> Answer | Reason:
        """The server's own decision, or why there is none."""
        if not self._room.acquire(timeout=ROOM_SECONDS):
            return Reason.STORE_DOWN
        try:
            return self._client.verify(presented, **_question(access))
        except KeyrackError as error:
            return trouble(error)
        finally:
            self._room.release()

    def _note(self, decision: Decision, access: Access, now: float, origin: Origin) -> Decision:
        self.notebook.note((decision, access.address, now, origin))
        return decision


def open_remote(
    url: str, *, key: str | None, max_stale: float | None = None, clock: Clock = time.time
) -> RemoteVerifier:
    """A verifier on the server at this URL, which is asked with `key`, or with KEYRACK_KEY.

    Raises ConfigurationError and Unavailable.
    """
    key = key or os.environ.get(KEY)
    if not key:
        raise ConfigurationError(KEY, "is missing; the server asks for a key that holds keys:verify.")
    verifier = RemoteVerifier(
        lambda retries: Client(url, key=key, timeout=TIMEOUT_SECONDS, retries=retries),
        max_stale=max_stale,
        clock=clock,
    )
    try:
        verifier.start()
    except KeyrackError:
        verifier.close()
        raise
    return verifier


def _within(proved: Proved | Refused, ceiling: Ceiling | None) -> Proved | Refused:
    if ceiling is None or isinstance(proved, Refused):
        return proved
    return below(proved, ceiling(proved.key))


def _identified(allowed: Allowed, text: Presented) -> Identified:
    identified = Identified(*allowed)
    identified.text = text
    return identified


def _question(access: Access) -> dict[str, Any]:
    """What `/v1/verify` is asked for an access; the defaults are left out."""
    asked: dict[str, Any] = {
        "scopes": list(access.scopes),
        "environments": list(access.environments),
        "cost": access.cost,
        "tenant": access.tenant,
        "service": access.service,
        "ip": None if access.address is None else str(access.address),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _orphan_all() -> None:
    for verifier in list(_running):
        verifier.orphan()


os.register_at_fork(after_in_child=_orphan_all)
