"""Key management: what clients ask, in the words of this service, said to Keyrack in its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from examples.log_lake.clock import Clock
from examples.log_lake.key_types import MEMBER, changed_rights, rights
from examples.log_lake.key_views import issued, views
from examples.log_lake.problems import written
from examples.log_lake.reading import named
from keyrack import Access, Authority, Denied, Key, Listing, Minted, Reason, Unavailable, Verifier, Wish

NAMES = {"name": "keyName", "expires_at": "expiresAt", "grace_seconds": "graceSeconds"}
"""What Keyrack calls a field, and what clients of this service do."""
FIELDS = {"key_name": "name", "expires_at": "expires_at", "limits": "limits", "networks": "networks"}
_OF_USE = frozenset({Reason.NETWORK, Reason.RATE})
"""Refusals that are about where and how often, and not about the key."""
_OUR_TROUBLE = frozenset({Reason.STORE_DOWN, Reason.STALE, Reason.UNCONFIGURED})


class Keys:
    """Makes, shows and changes keys. Every call blocks and says by whom."""

    def __init__(self, verifier: Verifier, clock: Clock):
        self._verifier = verifier
        self._issuer = verifier.issuer()
        self._clock = clock

    def create(self, given: Mapping[str, Any], *, by: Authority) -> dict[str, Any]:
        """A new key with its secret. Raises Conflict where a live key of the tenant has its name."""
        wish = Wish(
            given["key_name"],
            tenant=given.get("tenant"),
            expires_at=given.get("expires_at"),
            limits=given.get("limits", ()),
            networks=given.get("networks", ()),
            unique="tenant",
            **rights(self._verifier.policy, given),
        )
        with named(NAMES):
            return self._issued(self._issuer.mint(wish, by=by))

    def find(self, listing: Listing, *, by: Authority) -> dict[str, Any]:
        """A page of the keys of one tenant."""
        keys, cursor = self._issuer.find(listing, by=by)
        return {
            "data": views(keys, self._verifier, self._clock()),
            "next_cursor": None if cursor is None else str(cursor),
        }

    def get(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """One key."""
        return self._shown(self._issuer.get(key_id, by=by))

    def change(self, key_id: str, given: Mapping[str, Any], *, by: Authority) -> dict[str, Any]:
        """The key after a change; what was not given stays."""
        key = self._issuer.get(key_id, by=by)
        changes = {FIELDS[name]: value for name, value in given.items() if name in FIELDS}
        changes |= changed_rights(self._verifier.policy, key, given)
        if MEMBER in changes.get("metadata", {}):
            changes["metadata"] = {**key.metadata, **changes["metadata"]}
        with named(NAMES):
            return self._shown(self._issuer.update(key_id, changes, by=by, unique="tenant"))

    def revoke(self, key_id: str, *, by: Authority, wait: bool) -> dict[str, Any]:
        """End a key for good; `effectiveBy` is when no node can accept it any more."""
        key = self._issuer.revoke(key_id, by=by, wait=wait)
        ended_everywhere_at = self._effective_by(wait=wait)
        return {
            "keyId": key.id,
            "keyName": key.name,
            "message": "The key is revoked for good.",
            "effectiveBy": written(ended_everywhere_at),
        }

    def rotate(self, key_id: str, grace_seconds: int, *, by: Authority) -> dict[str, Any]:
        """The same key with a new secret; the older one goes on working for the grace."""
        with named(NAMES):
            return self._issued(self._issuer.rotate(key_id, by=by, grace=timedelta(seconds=grace_seconds)))

    def promote(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """End the grace of the older secrets."""
        return self._shown(self._issuer.promote(key_id, by=by))

    def abort(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """Drop the newest secret."""
        return self._shown(self._issuer.abort(key_id, by=by))

    def undo(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """Bring the previous secret back."""
        return self._shown(self._issuer.undo(key_id, by=by))

    def disable(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """Stop a key until it is enabled."""
        return self._shown(self._issuer.disable(key_id, by=by))

    def enable(self, key_id: str, *, by: Authority) -> dict[str, Any]:
        """Let a disabled key work again."""
        return self._shown(self._issuer.enable(key_id, by=by))

    def is_valid(self, text: str, *, tenant: str) -> bool:
        """Whether a text is a key of this tenant that works. Raises Unavailable when that is not known."""
        decision = self._verifier.verify(text, Access(cost=0), within=tenant)
        if not isinstance(decision, Denied):
            return True
        if decision.reason in _OUR_TROUBLE:
            raise Unavailable("Keys cannot be checked at the moment.")
        return decision.reason in _OF_USE

    def _effective_by(self, *, wait: bool) -> datetime:
        """Now, where we waited for it; else so long after the commit as any node may go without knowing."""
        left = 0.0 if wait else self._verifier.max_stale
        return self._clock() + timedelta(seconds=left)

    def _issued(self, minted: Minted) -> dict[str, Any]:
        return issued(minted, self._verifier, self._clock())

    def _shown(self, key: Key) -> dict[str, Any]:
        return views([key], self._verifier, self._clock())[0]
