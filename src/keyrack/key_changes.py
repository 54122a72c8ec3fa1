"""One change of one key, from the right to make it to its commit: both are looked at in the commit itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from keyrack.core import authority
from keyrack.core.authority import MANAGE_KEYS, Authority
from keyrack.core.errors import Conflict, NotFound, PreconditionFailed
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Secret, Status, VersionState
from keyrack.core.policy import Policy
from keyrack.givers import as_now
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.wishes import require_group

T = TypeVar("T", Key, "Minted")
Spread = Callable[[int, bool], None]
"""Called with the number of a commit: brings it to the replica here, and where asked waits until no
node can decide without it."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A key and, this once, the text of its new secret; None when the call was a replay."""

    key: Key
    secret: str | None = field(repr=False)


class KeyChanges:
    """What every change of a key goes through, whichever it is. Blocks until the commit is durable."""

    def __init__(self, stores: Stores, policy: Policy, spread: Spread):
        self.stores = stores
        self.policy = policy
        self._spread = spread

    def change(
        self,
        key_id: str,
        changed: Callable[[Key], Key],
        *,
        kind: EventKind,
        by: Authority,
        if_match: int | None = None,
        grants: bool = True,
        wait: bool = False,
        unique: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Key:
        """Commit one change of one key. A change that leaves the key as it was writes nothing."""
        by.require(MANAGE_KEYS)
        ends = kind in (EventKind.KEY_REVOKED, EventKind.KEY_DISABLED)

        def change(draft: Draft) -> Key:
            giver = as_now(draft, by, self.now(), needs=MANAGE_KEYS)
            key = existing(draft, key_id, giver)
            if kind is EventKind.KEY_REVOKED and key.status is Status.REVOKED:
                return key
            key = self.changeable(draft, key_id, giver, if_match)
            after = changed(key)
            if grants:
                self.check_grant(giver, after)
            if after.owner != key.owner:
                # To one's own name, too: with a new secret it would be the other owner's key in one's hand.
                giver.require(authority.ASSIGN_OWNERS)
            if after == key:
                return key
            if after.credits != key.credits:
                require_group(draft, after)
            self.require_unique(draft, after, unique)
            return draft.write_key(self.stamped(after), self.event(kind, by, data or {}))

        return self.commit(change, urgent=ends, wait=wait)

    def commit(self, change: Callable[[Draft], T], *, urgent: bool = False, wait: bool = False) -> T:
        """Commit, and bring it to the replica here; with `wait` to every other as well."""
        result = self.stores.ledger.commit(change, urgent=urgent)
        key = result.key if isinstance(result, Minted) else result
        self._spread(key.revision, wait)
        return result

    def changeable(self, draft: Draft, key_id: str, by: Authority, if_match: int | None) -> Key:
        """The key as it is now, if the caller may change it at all."""
        require_changeable(self.stores)
        key = existing(draft, key_id, by)
        authority.check_own(by, key)
        if if_match is not None and if_match != key.revision:
            raise PreconditionFailed(f"The key is at revision {key.revision}; read it again.")
        if key.status is Status.REVOKED:
            raise Conflict("This key was revoked for good; mint another.", code="key_revoked")
        return key

    def check_grant(self, giver: Authority, after: Key) -> None:
        """Refuse a key that holds more than its giver. Raises NotHeld."""
        authority.check_grant(giver, after, defaults=self.policy.limits)

    def require_unique(self, draft: Draft, key: Key, unique: str | None) -> None:
        """Refuse a name that a live key of the same `tenant` or `owner` bears. Raises Conflict."""
        if unique is None:
            return
        for other in draft.keys_named(key.tenant, key.name):
            expired = other.expires_at is not None and other.expires_at <= self.now()
            same = other.id != key.id and (unique == "tenant" or other.owner == key.owner)
            if same and other.status is not Status.REVOKED and not expired:
                raise Conflict(f"A live key of this {unique} already has this name.", code="name_taken")

    def secret(self, text: str, number: int) -> Secret:
        """A live version of this text, digested under the first pepper."""
        pepper = self.stores.peppers.first
        digest = pepper.digest.digest(text.encode("ascii"))
        return Secret(number, VersionState.LIVE, self.now(), pepper.id, digest)

    def event(self, kind: EventKind, by: Authority, data: Mapping[str, Any]) -> Event:
        """The event of a change: what happened, by whom, and from where."""
        present = {name: value for name, value in data.items() if value is not None}
        return Event(kind, self.now(), by.name, data=present, request_id=by.request_id, address=by.address)

    def stamped(self, key: Key) -> Key:
        """The key as changed now."""
        return replace(key, updated_at=self.now())

    def now(self) -> datetime:
        """The store's time to the second: what is written is compared with what is read back."""
        return datetime.fromtimestamp(int(self.stores.clock()), UTC)


def require_changeable(stores: Stores) -> None:
    """Refuse changes to a store whose keys come from the environment."""
    if stores.fixed:
        raise Conflict(
            "These keys come from the environment and are changed there.", code="unsupported_store"
        )


def existing(draft: Draft, key_id: str, by: Authority) -> Key:
    """A key as of the commit, in the reach of the caller. Raises NotFound."""
    return reachable(draft.key(key_id), by)


def reachable(key: Key | None, by: Authority) -> Key:
    """This key, if there is one in the reach of the caller. Raises NotFound."""
    if key is None or not by.reaches(key.tenant):
        raise NotFound("There is no key of this id.")
    return key
