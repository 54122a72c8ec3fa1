"""Mint, change, rotate, revoke: every call says by whom, and nobody grants more than they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from keyrack.core import authority, fields, rotation
from keyrack.core.authority import MANAGE_KEYS, Authority
from keyrack.core.errors import Conflict, NotFound, NotHeld
from keyrack.core.events import EventKind
from keyrack.core.model import Key, Status
from keyrack.core.policy import Policy
from keyrack.drawing import new_id, new_text
from keyrack.givers import as_now
from keyrack.idempotency import Once, recall, remember
from keyrack.key_changes import KeyChanges, Minted, Spread, existing, reachable, require_changeable
from keyrack.key_rotations import KeyRotations
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_key
from keyrack.wishes import Wish, drafted, require_group, validated


class Issuer:
    """Makes and changes keys. Every call blocks until its commit is durable."""

    def __init__(self, stores: Stores, policy: Policy | None = None, *, spread: Spread | None = None):
        self._stores = stores
        self._policy = policy or Policy()
        self._changes = KeyChanges(stores, self._policy, spread or (lambda number, wait: None))
        rotations = KeyRotations(self._changes)
        self.rotate = rotations.rotate
        """Give a key a new secret: see KeyRotations, as for the next three."""
        self.promote = rotations.promote
        self.abort = rotations.abort
        self.undo = rotations.undo

    def mint(self, wish: Wish, *, by: Authority, once: Once | None = None) -> Minted:
        """Make a key. Raises ValidationFailed, NotHeld, Conflict (`name_taken`), Unavailable."""
        by.require(MANAGE_KEYS)
        require_changeable(self._stores)

        def change(draft: Draft) -> Minted:
            giver = as_now(draft, by, self._changes.now(), needs=MANAGE_KEYS)
            # First of all: what was asked for a day ago may not be valid any more, and was done.
            replayed = recall(draft, self._stores, once, by, "mint")
            if replayed is not None:
                return Minted(existing(draft, replayed, giver), None)
            drawn = drafted(wish, key_id=new_id(), by=by, policy=self._policy, now=self._changes.now())
            text = new_text(drawn)
            key = replace(drawn, versions=(self._changes.secret(text, 1),), ending=text[-4:])
            self._changes.check_grant(giver, key)
            _require_tenant(draft, key.tenant)
            require_group(draft, key)
            self._changes.require_unique(draft, key, wish.unique)
            facts = {"name": key.name, "owner": key.owner, "scopes": key.scopes, "preset": key.preset}
            written = draft.write_key(key, self._changes.event(EventKind.KEY_MINTED, by, facts))
            remember(draft, self._stores, once, by, "mint", key.id)
            return Minted(written, text)

        return self._changes.commit(change)

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
        after = validated(changes, policy=self._policy, now=self._changes.now())
        return self._changes.change(
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
        return self._changes.change(
            key_id,
            lambda key: replace(key, status=Status.DISABLED),
            kind=EventKind.KEY_DISABLED,
            by=by,
            if_match=if_match,
            grants=False,
        )

    def enable(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Let a disabled key work again."""
        return self._changes.change(
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
            return replace(key, status=Status.REVOKED, revoked_at=self._changes.now(), revoked_reason=checked)

        return self._changes.change(
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
            key = existing(draft, key_id, by)
            after, kind = _given_up(key, number, self._changes.now())
            if after == key:
                return key
            return draft.write_key(
                self._changes.stamped(after), self._changes.event(kind, by, {"version": number})
            )

        return self._changes.commit(change, urgent=True)

    def get(self, key_id: str, *, by: Authority) -> Key:
        """A key in the caller's reach. Raises NotFound, NotHeld."""
        by.require(authority.needed_to_read(by, key_id))
        record = self._stores.keys.record(Kind.KEY, key_id)
        key = None if record is None else open_key(record, self._stores.peppers)
        return reachable(key, by)

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


def _require_tenant(draft: Draft, tenant_id: str) -> None:
    tenant = draft.tenant(tenant_id)
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound("There is no tenant of this id.")
