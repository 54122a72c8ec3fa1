"""The rotation of a key: a new secret beside the old ones, which then end or come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from keyrack.core import authority, rotation
from keyrack.core.authority import MANAGE_KEYS, Authority
from keyrack.core.errors import Conflict
from keyrack.core.events import EventKind
from keyrack.core.model import Key, Secret
from keyrack.drawing import new_text
from keyrack.givers import as_now
from keyrack.idempotency import Once, recall, remember
from keyrack.key_changes import KeyChanges, Minted, existing
from keyrack.stores.ledger import Draft


class KeyRotations:
    """Starts and ends rotations, each in one commit. An Issuer offers what is public of it."""

    def __init__(self, changes: KeyChanges):
        self._changes = changes
        self._stores = changes.stores

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
            giver = as_now(draft, by, self._changes.now(), needs=needs)
            replayed = recall(draft, self._stores, once, by, operation)
            if replayed is not None:
                return Minted(existing(draft, replayed, giver), None)
            key = self._changes.changeable(draft, key_id, giver, if_match)
            text = new_text(key)
            versions = self._rotated(key, text, grace, compromised=compromised, force=force)
            rotated = self._changes.stamped(replace(key, versions=versions, ending=text[-4:]))
            if needs == MANAGE_KEYS:
                # A key that rotates itself gets no more than what is in its holder's hand already.
                self._changes.check_grant(giver, rotated)
            facts = {"version": versions[-1].number, "grace_seconds": int(grace.total_seconds())}
            if compromised:
                facts["compromised"] = True
            written = draft.write_key(rotated, self._changes.event(EventKind.ROTATION_STARTED, by, facts))
            remember(draft, self._stores, once, by, operation, key_id)
            return Minted(written, text)

        return self._changes.commit(change, urgent=compromised)

    def promote(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """End grace early: only the primary secret stays."""
        return self._changes.change(
            key_id,
            lambda key: replace(key, versions=rotation.promote(key.versions, self._changes.now())),
            kind=EventKind.ROTATION_PROMOTED,
            by=by,
            if_match=if_match,
        )

    def abort(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Drop the newest secret; the one before it is the primary again."""
        return self._changes.change(
            key_id,
            lambda key: replace(key, versions=rotation.abort(key.versions, self._changes.now())),
            kind=EventKind.ROTATION_ABORTED,
            by=by,
            if_match=if_match,
        )

    def undo(self, key_id: str, *, by: Authority, if_match: int | None = None) -> Key:
        """Bring back the previous secret within a day of its end; the newer one gets a day of grace."""

        def undone(key: Key) -> Key:
            ends_at = _at_most(self._changes.now() + rotation.DEFAULT_GRACE, key.expires_at)
            return replace(key, versions=rotation.undo(key.versions, self._changes.now(), ends_at=ends_at))

        return self._changes.change(key_id, undone, kind=EventKind.ROTATION_UNDONE, by=by, if_match=if_match)

    def _rotated(
        self, key: Key, text: str, grace: timedelta, *, compromised: bool, force: bool
    ) -> tuple[Secret, ...]:
        now = self._changes.now()
        if key.expires_at is not None and key.expires_at <= now:
            raise Conflict("This key has expired; extend expires_at before rotating.", code="key_expired")
        new = self._changes.secret(text, rotation.next_number(key.versions))
        kept = rotation.recognised(key.versions, now)
        if compromised:
            return rotation.replace_compromised(kept, new, now=now)
        ends_at = _at_most(now + grace, key.expires_at)
        return rotation.start(kept, new, now=now, ends_at=ends_at, force=force)


def _at_most(end: datetime, bound: datetime | None) -> datetime:
    return end if bound is None else min(end, bound)
