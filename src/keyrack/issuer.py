"""Mint, change, rotate, revoke: every call says by whom, and nobody grants more than they hold."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from keyrack.core import authority, credential, fields, rotation
from keyrack.core.authority import MANAGE_KEYS, Authority
from keyrack.core.errors import Conflict, NotFound, NotHeld, PreconditionFailed
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Secret, Status, VersionState
from keyrack.core.policy import Policy
from keyrack.givers import as_now
from keyrack.idempotency import Once, recall, remember
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_key
from keyrack.wishes import Wish, drafted, require_group, validated

T = TypeVar("T", Key, "Minted")
Spread = Callable[[int, bool], None]
"""Called with the number of a commit: brings it to the replica here, and where asked waits until no
node can decide without it."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A key and, this once, the text of its new secret; None when the call was a replay."""

    key: Key
    secret: str | None = field(repr=False)


class Issuer:
    """Makes and changes keys. Every call blocks until its commit is durable."""

    def __init__(self, stores: Stores, policy: Policy | None = None, *, spread: Spread | None = None):
        self._stores = stores
        self._policy = policy or Policy()
        self._spread = spread or (lambda number, wait: None)

    def mint(self, wish: Wish, *, by: Authority, once: Once | None = None) -> Minted:
        """Make a key. Raises ValidationFailed, NotHeld, Conflict (`name_taken`), Unavailable."""
        by.require(MANAGE_KEYS)
        require_changeable(self._stores)

        def change(draft: Draft) -> Minted:
            giver = as_now(draft, by, self._now(), needs=MANAGE_KEYS)
            # First of all: what was asked for a day ago may not be valid any more, and was done.
            replayed = recall(draft, self._stores, once, by, "mint")
            if replayed is not None:
                return Minted(_existing(draft, replayed, giver), None)
            drawn = drafted(wish, key_id=new_id(), by=by, policy=self._policy, now=self._now())
            text = _text(drawn)
            key = replace(drawn, versions=(self._secret(text, 1),), ending=text[-4:])
            self._check_grant(giver, key)
            _require_tenant(draft, key.tenant)
            require_group(draft, key)
            self._require_unique(draft, key, wish.unique)
            facts = {"name": key.name, "owner": key.owner, "scopes": key.scopes, "preset": key.preset}
            written = draft.write_key(key, self._event(EventKind.KEY_MINTED, by, facts))
            remember(draft, self._stores, once, by, "mint", key.id)
            return Minted(written, text)

        return self._commit(change)

    def update(
        self,
        key_id: str,
        changes: Mapping[str, Any],
        *,
        by: Authority,
        if_match: int | None = None,
        unique: str | None = None,
    ) -> Key:
        """Change fields of a key: name, owner, scopes, role, expires_at, networks, limits, metadata.

        `unique` is that of a Wish: `tenant` or `owner`, in which no other live key may bear the name.
        """
        after = validated(changes, policy=self._policy, now=self._now())
        return self._change(
            key_id,
            lambda key: replace(key, **after),
            kind=EventKind.KEY_UPDATED,
            by=by,
            if_match=if_match,
            unique=unique,
            data={"fields": sorted(after)},
        )

    def disable(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Stop a key until it is enabled again."""
        return self._change(
            key_id,
            lambda key: replace(key, status=Status.DISABLED),
            kind=EventKind.KEY_DISABLED,
            by=by,
            if_match=if_match,
            grants=False,
        )

    def enable(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Let a disabled key work again."""
        return self._change(
            key_id,
            lambda key: replace(key, status=Status.ACTIVE),
            kind=EventKind.KEY_ENABLED,
            by=by,
            if_match=if_match,
        )

    def revoke(self, key_id: str, *, by: Authority, reason: str | None = None, wait: bool = False) -> Key:
        """End a key for good. Repeating it changes nothing.

        With `wait` it returns once no node can accept the key any more: when every node has passed
        the event, else max_stale after the commit.
        """
        checked = None if reason is None else fields.reason(reason)

        def revoked(key: Key) -> Key:
            return replace(key, status=Status.REVOKED, revoked_at=self._now(), revoked_reason=checked)

        return self._change(
            key_id,
            revoked,
            kind=EventKind.KEY_REVOKED,
            by=by,
            grants=False,
            wait=wait,
            data={"reason": checked} if checked else {},
        )

    def give_up(self, *, by: Authority) -> Key:
        """The holder ends its own key; with a secret that has an end date, that version alone.

        What has ended before it comes to the commit stays as it is.
        """
        if by.key is None or by.secret is None:
            raise Conflict("Only the holder of a key can give it up.")
        by.refuse_session()
        key_id, number = by.key.id, by.secret.number

        def change(draft: Draft) -> Key:
            require_changeable(self._stores)
            key = _existing(draft, key_id, by)
            after, kind = _given_up(key, number, self._now())
            if after == key:
                return key
            return draft.write_key(self._stamped(after), self._event(kind, by, {"version": number}))

        return self._commit(change, urgent=True)

    def rotate(
        self,
        key_id: str,
        *,
        by: Authority,
        grace: timedelta = rotation.DEFAULT_GRACE,
        compromised: bool = False,
        force: bool = False,
        once: Once | None = None,
        if_match: int | None = None,
    ) -> Minted:
        """Give a key a new secret; the others keep working for `grace`, or not at all if compromised.

        A key that holds `self:rotate` may have one of its own, without `compromised` or `force`. Raises
        ValidationFailed for a grace out of range, Conflict (`rotation_active`, `version_limit`,
        `key_revoked`, `key_expired`), NotHeld, SecretDated.
        """
        rotation.check_grace(grace, compromised=compromised)
        needs = authority.needed_to_rotate(by, key_id, exceptional=compromised or force)
        by.require(needs)
        operation = f"rotate/{key_id}"

        def change(draft: Draft) -> Minted:
            giver = as_now(draft, by, self._now(), needs=needs)
            replayed = recall(draft, self._stores, once, by, operation)
            if replayed is not None:
                return Minted(_existing(draft, replayed, giver), None)
            key = self._changeable(draft, key_id, giver, if_match)
            text = _text(key)
            versions = self._rotated(key, text, grace, compromised=compromised, force=force)
            rotated = self._stamped(replace(key, versions=versions, ending=text[-4:]))
            if needs == MANAGE_KEYS:
                # A key that rotates itself gets no more than what is in its holder's hand already.
                self._check_grant(giver, rotated)
            facts = {"version": versions[-1].number, "grace_seconds": int(grace.total_seconds())}
            if compromised:
                facts["compromised"] = True
            written = draft.write_key(rotated, self._event(EventKind.ROTATION_STARTED, by, facts))
            remember(draft, self._stores, once, by, operation, key_id)
            return Minted(written, text)

        return self._commit(change, urgent=compromised)

    def promote(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """End grace early: only the primary secret stays."""
        return self._change(
            key_id,
            lambda key: replace(key, versions=rotation.promote(key.versions, self._now())),
            kind=EventKind.ROTATION_PROMOTED,
            by=by,
            if_match=if_match,
        )

    def abort(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Drop the newest secret; the one before it is the primary again."""
        return self._change(
            key_id,
            lambda key: replace(key, versions=rotation.abort(key.versions, self._now())),
            kind=EventKind.ROTATION_ABORTED,
            by=by,
            if_match=if_match,
        )

    def undo(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Bring back the previous secret within a day of its end; the newer one gets a day of grace."""

        def undone(key: Key) -> Key:
            ends_at = _at_most(self._now() + rotation.DEFAULT_GRACE, key.expires_at)
            return replace(key, versions=rotation.undo(key.versions, self._now(), ends_at=ends_at))

        return self._change(key_id, undone, kind=EventKind.ROTATION_UNDONE, by=by, if_match=if_match)

    def get(self, key_id: str, *, by: Authority) -> Key:
        """A key in the caller's reach. Raises NotFound, NotHeld."""
        by.require(authority.needed_to_read(by, key_id))
        record = self._stores.keys.record(Kind.KEY, key_id)
        key = None if record is None else open_key(record, self._stores.peppers)
        return _reachable(key, by)

    def find(self, listing: Listing, *, by: Authority) -> tuple[list[Key], int | None]:
        """A page of keys in the order in which they were made, and the cursor of the next page."""
        by.require(authority.needed_to_read(by, None))
        if listing.tenant is None and not by.holds(authority.MANAGE_TENANTS):
            listing = replace(listing, tenant=by.tenant)
        if listing.tenant is not None and not by.reaches(listing.tenant):
            raise NotHeld([authority.MANAGE_TENANTS])
        found = self._stores.keys.records(replace(listing, most=listing.most + 1))
        page = found[: listing.most]
        keys = [open_key(record, self._stores.peppers) for record in page]
        return keys, page[-1].serial if len(found) > listing.most else None

    def _change(
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
            giver = as_now(draft, by, self._now(), needs=MANAGE_KEYS)
            key = _existing(draft, key_id, giver)
            if kind is EventKind.KEY_REVOKED and key.status is Status.REVOKED:
                return key
            key = self._changeable(draft, key_id, giver, if_match)
            after = changed(key)
            if grants:
                self._check_grant(giver, after)
            if after.owner != key.owner:
                # To one's own name, too: with a new secret it would be the other owner's key in one's hand.
                giver.require(authority.ASSIGN_OWNERS)
            if after == key:
                return key
            if after.credits != key.credits:
                require_group(draft, after)
            self._require_unique(draft, after, unique)
            return draft.write_key(self._stamped(after), self._event(kind, by, data or {}))

        return self._commit(change, urgent=ends, wait=wait)

    def _commit(self, change: Callable[[Draft], T], *, urgent: bool = False, wait: bool = False) -> T:
        result = self._stores.ledger.commit(change, urgent=urgent)
        key = result.key if isinstance(result, Minted) else result
        self._spread(key.revision, wait)
        return result

    def _changeable(self, draft: Draft, key_id: str, by: Authority, if_match: int | None) -> Key:
        """The key as it is now, if the caller may change it at all."""
        require_changeable(self._stores)
        key = _existing(draft, key_id, by)
        authority.check_own(by, key, self._now())
        if if_match is not None and if_match != key.revision:
            raise PreconditionFailed(f"The key is at revision {key.revision}; read it again.")
        if key.status is Status.REVOKED:
            raise Conflict("This key was revoked for good; mint another.", code="key_revoked")
        return key

    def _check_grant(self, giver: Authority, after: Key) -> None:
        authority.check_grant(giver, after, defaults=self._policy.limits)

    def _rotated(
        self, key: Key, text: str, grace: timedelta, *, compromised: bool, force: bool
    ) -> tuple[Secret, ...]:
        now = self._now()
        if key.expires_at is not None and key.expires_at <= now:
            raise Conflict("This key has expired; extend expires_at before rotating.", code="key_expired")
        new = self._secret(text, rotation.next_number(key.versions))
        kept = rotation.recognised(key.versions, now)
        if compromised:
            return rotation.replace_compromised(kept, new, now=now)
        ends_at = _at_most(now + grace, key.expires_at)
        return rotation.start(kept, new, now=now, ends_at=ends_at, force=force)

    def _require_unique(self, draft: Draft, key: Key, unique: str | None) -> None:
        if unique is None:
            return
        for other in draft.keys_named(key.tenant, key.name):
            expired = other.expires_at is not None and other.expires_at <= self._now()
            same = other.id != key.id and (unique == "tenant" or other.owner == key.owner)
            if same and other.status is not Status.REVOKED and not expired:
                raise Conflict(f"A live key of this {unique} already has this name.", code="name_taken")

    def _secret(self, text: str, number: int) -> Secret:
        pepper = self._stores.peppers.first
        digest = pepper.digest.digest(text.encode("ascii"))
        return Secret(number, VersionState.LIVE, self._now(), pepper.id, digest)

    def _event(self, kind: EventKind, by: Authority, data: Mapping[str, Any]) -> Event:
        present = {name: value for name, value in data.items() if value is not None}
        return Event(kind, self._now(), by.name, data=present, request_id=by.request_id, address=by.address)

    def _stamped(self, key: Key) -> Key:
        return replace(key, updated_at=self._now())

    def _now(self) -> datetime:
        """The store's time to the second: what is written is compared with what is read back."""
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def require_changeable(stores: Stores) -> None:
    """Refuse changes to a store whose keys come from the environment."""
    if stores.fixed:
        raise Conflict(
            "These keys come from the environment and are changed there.", code="unsupported_store"
        )


def _given_up(key: Key, number: int, now: datetime) -> tuple[Key, EventKind]:
    """A key of which one version was given up: ended as a whole, unless that version has an end."""
    version = next((one for one in rotation.live(key.versions, now) if one.number == number), None)
    if version is None or key.status is Status.REVOKED:
        return key, EventKind.VERSION_ENDED
    if version.not_after is not None:
        ended = replace(key, versions=rotation.end_version(key.versions, number, now))
        return ended, EventKind.VERSION_ENDED
    reason = "given up by its holder"
    return replace(key, status=Status.REVOKED, revoked_at=now, revoked_reason=reason), EventKind.KEY_REVOKED


def new_id() -> str:
    """A random key id."""
    return _random(credential.ID_LENGTH)


def _random(length: int) -> str:
    return "".join(secrets.choice(credential.ALPHABET) for _ in range(length))


def _text(key: Key) -> str:
    return credential.write(key.prefix, key.environment, key.id, _random(credential.SECRET_LENGTH))


def _at_most(end: datetime, bound: datetime | None) -> datetime:
    return end if bound is None else min(end, bound)


def _require_tenant(draft: Draft, tenant_id: str) -> None:
    tenant = draft.tenant(tenant_id)
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound("There is no tenant of this id.")


def _existing(draft: Draft, key_id: str, by: Authority) -> Key:
    return _reachable(draft.key(key_id), by)


def _reachable(key: Key | None, by: Authority) -> Key:
    if key is None or not by.reaches(key.tenant):
        raise NotFound("There is no key of this id.")
    return key
