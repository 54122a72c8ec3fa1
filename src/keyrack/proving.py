"""From what was presented to a known key: parse, look up, prove. Whatever fails has one public answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from keyrack.core import prepared as preparing
from keyrack.core.checks import Proved, Refused, not_forgotten
from keyrack.core.credential import MAX_LENGTH, looks_written, read
from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Denied, Reason
from keyrack.core.peppers import Peppers
from keyrack.core.prepared import matching, nobody, prove
from keyrack.core.session import narrowed
from keyrack.deciding import Ceiling
from keyrack.lookups import ATTEMPTS, LookUps
from keyrack.sessions.proofs import SessionProofs
from keyrack.stores.follower import Follower
from keyrack.stores.replica import NotInMemory

T = TypeVar("T")

_REFUSED = {reason: Refused(Denied(reason)) for reason in Reason}
_UNKNOWN = _REFUSED[Reason.UNKNOWN]


class Prover:
    """Proves texts on the replica of a follower. Any thread may ask."""

    def __init__(self, follower: Follower, lookups: LookUps, peppers: Peppers):
        self._follower = follower
        self._lookups = lookups
        self._peppers = peppers
        self._nobody = nobody(peppers)
        self._session_proofs = SessionProofs()

    def prove(self, presented: Presented) -> Proved | Refused:
        """Which version of which key this is. A key that is not held is read first, which waits."""
        return self._reading(self.prove_held, presented)

    def prove_held(self, presented: Presented) -> Proved | Refused:
        """The same on what is held, without a wait. Raises NotInMemory."""
        doubt = self._follower.doubt()
        if doubt is not None:
            return _REFUSED[doubt]
        found = read(presented)
        if found is None:
            return self._prove_other(presented)
        key_id, text = found
        prepared = self._follower.replica.find(key_id)
        if prepared is None:
            return self._prove_by_digest(text)
        return prove(prepared, text) or _UNKNOWN

    def again(self, identified: Allowed, ceiling: Ceiling | None) -> Proved | Refused:
        """The version that was proved then, as it is now, below the ceiling."""
        proved = self._reading(self._proved_before, identified)
        return proved if ceiling is None else below(proved, ceiling)

    def _reading(self, prove: Callable[[T], Proved | Refused], what: T) -> Proved | Refused:
        """Prove on what is held; where a key is not, read it and prove again."""
        for _ in range(ATTEMPTS):
            try:
                return prove(what)
            except NotInMemory as lacking:
                reason = self._lookups.bring(lacking.key_id)
            if reason is not None:
                return _REFUSED[reason]
        return _REFUSED[Reason.STORE_DOWN]

    def _prove_other(self, presented: Presented) -> Proved | Refused:
        """Where there is no text of our form: nothing was presented, a session token, or a foreign text."""
        if isinstance(presented, Reason) or not presented:
            return _REFUSED[Reason(presented or Reason.MISSING)]
        session = self._session_proofs.prove(presented, self._follower.replica)
        if session is not None:
            return session
        if not self._follower.replica.foreign_peppers or not _may_be_foreign(presented):
            return _REFUSED[Reason.MALFORMED]
        return self._prove_by_digest(presented.encode("ascii"))

    def _prove_by_digest(self, text: bytes) -> Proved | Refused:
        """Where no id is known: a foreign text, or a static key of our own form; else nobody's text."""
        replica = self._follower.replica
        if not replica.foreign_peppers:
            return prove(self._nobody, text) or _UNKNOWN
        for pepper in replica.foreign_peppers:
            digest = self._peppers[pepper].index.digest(text)
            prepared = replica.find_foreign(digest) or self._nobody
            proved = matching(prepared.foreign, digest)
            if proved is not None:
                return proved
        return _UNKNOWN

    def _proved_before(self, identified: Allowed) -> Proved | Refused:
        doubt = self._follower.doubt()
        if doubt is not None:
            return _REFUSED[doubt]
        prepared = self._follower.replica.find(identified.key.id) or self._nobody
        number, session = identified.secret.number, identified.session
        found = (version for version in prepared.versions if version.answer.secret.number == number)
        version = next(found, None)
        if version is None:
            return _UNKNOWN
        return version if session is None else narrowed(version, session)


def below(proved: Proved | Refused, ceiling: Ceiling) -> Proved | Refused:
    """The same, able to do no more than a service allows its key."""
    return proved if isinstance(proved, Refused) else preparing.below(proved, ceiling(proved.key))


def of_tenant(proved: Proved | Refused, tenant: str) -> Proved | Refused:
    """The same, but that keys of other tenants are unknown."""
    known = isinstance(proved, Refused) or proved.key.tenant == tenant
    return proved if known else _UNKNOWN


def remembered(proved: Proved | Refused, now: float) -> Proved | Refused:
    """The same, but for a version that ended so long ago that it is told from an unknown text no more."""
    forgotten = isinstance(proved, Proved) and not_forgotten(proved, Access(), now) is not None
    return _UNKNOWN if forgotten else proved


def _may_be_foreign(text: str) -> bool:
    return len(text) <= MAX_LENGTH and text.isascii() and not looks_written(text)
