"""Make, change, rotate and delete credit groups: every call says by whom, and no answer has a secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict, NotFound, PreconditionFailed
from keyrack.core.events import Event, EventKind, open_known
from keyrack.core.rotation import next_number
from keyrack.core.upstream import Upstream, upstream_id
from keyrack.gateway.admin import reach, rotations
from keyrack.gateway.admin.edit import Edit, standing
from keyrack.gateway.admin.leftovers import clear
from keyrack.gateway.admin.reach import MANAGE, READ
from keyrack.gateway.admin.rotation_fields import RotationChange, RotationWish, read_change, read_start
from keyrack.gateway.admin.rotations import Start
from keyrack.gateway.admin.updating import require_key, start, updated
from keyrack.gateway.admin.upstream_fields import UpstreamWish, validated
from keyrack.gateway.admin.users import Users
from keyrack.givers import as_now
from keyrack.key_changes import Spread, require_changeable
from keyrack.stores.balances import Balances
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Kind, Listing
from keyrack.stores.sealing import open_upstream
from keyrack.vault.secrets import Vault

Given = Mapping[str, Any]
"""Fields as JSON has them, by their names in the API."""
Change = Callable[[Edit, Upstream], tuple[Upstream, EventKind]]
"""From a group to what it becomes, and what that is called in the log."""


class Upstreams:
    """Makes and changes credit groups, for holders of `upstreams:manage`. Every call blocks until durable.

    Groups are of the caller's tenant unless another is named, which needs `tenants:manage`. Raises
    Unavailable (reason `unconfigured`) where a secret is to be sealed or opened without master keys.
    """

    def __init__(self, stores: Stores, vault: Vault, *, spread: Spread | None = None):
        self._stores = stores
        self._vault = vault
        self._spread = spread or (lambda number, wait: None)

    def create(self, given: Given, *, by: Authority, tenant: str | None = None) -> Upstream:
        """Make a group. Raises ValidationFailed, NotHeld, NotFound, Conflict (`group_exists`).

        A store that cannot keep credits refuses it (`unsupported_store`).
        """
        wanted = reach.tenant_for(by, tenant, needs=MANAGE)
        require_changeable(self._stores)
        require_credits(self._stores)
        wish = validated(given)
        self._clear(wanted, given["api_credit_group"], by)

        def change(draft: Draft) -> Upstream:
            edit = self._edit(draft, by, wanted)
            reach.require_tenant(draft, wanted)
            return _created(edit, wanted, given, wish)

        return self._commit(change)

    def update(
        self,
        group: str,
        given: Given,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Upstream:
        """Change fields of a group; those left out stay. Starts or ends a rotation where they say so.

        Raises ValidationFailed (`use_promote_or_abort`, `grace_out_of_range`, `rotation_fields_incomplete`),
        Conflict (`key_mismatch`, `rotation_active`).
        """
        wish = validated(given, group=group)
        return self._change(
            group,
            lambda edit, upstream: updated(edit, upstream, wish),
            by=by,
            tenant=tenant,
            if_match=if_match,
            given=given,
        )

    def rotate(
        self,
        group: str,
        given: Given,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Upstream:
        """Start a rotation: `api_key_new`, with `api_key_rotation_expires`, `grace_seconds` or a `plan`.

        Raises ValidationFailed (`grace_out_of_range`, `rotation_fields_incomplete`), Conflict
        (`rotation_active` unless `force`, `version_limit`, `key_mismatch`).
        """
        wish = read_start(given)
        return self._change(
            group,
            lambda edit, upstream: _rotated(edit, upstream, wish),
            by=by,
            tenant=tenant,
            if_match=if_match,
            given=given,
        )

    def change_rotation(
        self,
        group: str,
        given: Given,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Upstream:
        """State a share (`rollout_percent`) or another end of grace. Raises Conflict (`no_rotation`)."""
        wish = read_change(given)
        return self._change(
            group,
            lambda edit, upstream: _changed(edit, upstream, wish),
            by=by,
            tenant=tenant,
            if_match=if_match,
            given=given,
        )

    def promote(
        self,
        group: str,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
        destroy: bool = False,
    ) -> Upstream:
        """End grace early; with `destroy` the old keys are erased at once, and nothing undoes it."""

        def promoted(edit: Edit, upstream: Upstream) -> tuple[Upstream, EventKind]:
            after = rotations.promoted(upstream, now=edit.now, destroy=destroy)
            return after, EventKind.UPSTREAM_PROMOTED

        given = {"destroy": True} if destroy else {}
        return self._change(
            group, promoted, by=by, tenant=tenant, if_match=if_match, given=given, urgent=destroy
        )

    def abort(
        self, group: str, *, by: Authority, tenant: str | None = None, if_match: int | None = None
    ) -> Upstream:
        """Drop the newest key; the one before it is the primary again."""

        def aborted(edit: Edit, upstream: Upstream) -> tuple[Upstream, EventKind]:
            return rotations.aborted(upstream, now=edit.now), EventKind.UPSTREAM_ABORTED

        return self._change(group, aborted, by=by, tenant=tenant, if_match=if_match, given={})

    def undo(
        self, group: str, *, by: Authority, tenant: str | None = None, if_match: int | None = None
    ) -> Upstream:
        """Bring the key before back within a day of its end. Raises Conflict (`undo_expired`)."""

        def undone(edit: Edit, upstream: Upstream) -> tuple[Upstream, EventKind]:
            return rotations.undone(upstream, now=edit.now), EventKind.UPSTREAM_UNDONE

        return self._change(group, undone, by=by, tenant=tenant, if_match=if_match, given={})

    def delete(
        self, group: str, *, by: Authority, tenant: str | None = None, if_match: int | None = None
    ) -> Upstream:
        """Erase a group's keys, the group, and what its users have in it.

        Raises Conflict (`group_in_use`) while an API uses it; and Unavailable, also where the group is gone
        and its balances could not be removed yet, which a server then does.
        """
        users = Users(self._stores, reach.tenant_for(by, tenant, needs=MANAGE))

        def deleted(edit: Edit, upstream: Upstream) -> tuple[Upstream, EventKind]:
            users.require_none(edit.draft, upstream)
            return edit.ended(upstream), EventKind.UPSTREAM_DELETED

        gone = self._change(group, deleted, by=by, tenant=tenant, if_match=if_match, given={}, urgent=True)
        self._clear(gone.tenant, gone.name, by)
        return gone

    def get(self, group: str, *, by: Authority, tenant: str | None = None) -> Upstream:
        """A group that was not deleted. Raises NotFound (`group_not_found`), NotHeld."""
        return standing(self._record(group, by, tenant))

    def find(
        self, *, by: Authority, tenant: str | None = None, after: int = 0, most: int = 50
    ) -> tuple[list[Upstream], int | None]:
        """A page of groups in the order in which they were made, and the cursor of the next page."""
        wanted = reach.tenant_for(by, tenant, needs=READ)
        return reach.page(self._stores, Listing(Kind.UPSTREAM, after, most, wanted), open_upstream)

    def history(
        self, group: str, *, by: Authority, tenant: str | None = None, after: int = 0, most: int = 50
    ) -> tuple[list[Event], int | None]:
        """A page of what the log says of a group, a deleted one as well, and the cursor of the next page."""
        upstream = self._record(group, by, tenant)
        if upstream is None:
            raise NotFound("There is no credit group of this name.", code="group_not_found")
        excerpt = Excerpt(after, most + 1, upstream.tenant, upstream.id)
        found = self._stores.keys.entries(excerpt)
        events = [open_known(entry, self._stores.peppers)[0] for entry in found[:most]]
        return events, events[-1].number if len(found) > most else None

    def _clear(self, tenant: str, group: str, by: Authority) -> None:
        """Remove what users of a deleted group have, should there have been one of this name."""
        if self._stores.keys.record(Kind.UPSTREAM, upstream_id(tenant, group)) is not None:
            clear(self._stores, tenant, {group}, by=by)

    def _record(self, group: str, by: Authority, tenant: str | None) -> Upstream | None:
        wanted = reach.tenant_for(by, tenant, needs=READ)
        record = self._stores.keys.record(Kind.UPSTREAM, upstream_id(wanted, group))
        return None if record is None else open_upstream(record, self._stores.peppers)

    def _change(
        self,
        group: str,
        changed: Change,
        *,
        by: Authority,
        tenant: str | None,
        if_match: int | None,
        given: Given,
        urgent: bool = False,
    ) -> Upstream:
        """Commit one change of one group. A change that leaves it as it was writes nothing."""
        wanted = reach.tenant_for(by, tenant, needs=MANAGE)
        require_changeable(self._stores)

        def change(draft: Draft) -> Upstream:
            edit = self._edit(draft, by, wanted)
            upstream = edit.group(wanted, group)
            if if_match is not None and if_match != upstream.revision:
                raise PreconditionFailed(f"The group is at revision {upstream.revision}; read it again.")
            after, kind = changed(edit, upstream)
            if after == upstream:
                return upstream
            written = edit.write(after, kind, {"given": given})
            # After the record: whoever follows the log finds no version that is live and erased.
            edit.erase_dropped(upstream, after)
            return written

        return self._commit(change, urgent=urgent)

    def _edit(self, draft: Draft, by: Authority, tenant: str) -> Edit:
        now = datetime.fromtimestamp(int(self._stores.clock()), UTC)
        giver = as_now(draft, by, now, needs=MANAGE)
        reach.tenant_for(giver, tenant, needs=MANAGE)
        return Edit(draft, self._vault, giver, now)

    def _commit(self, change: Callable[[Draft], Upstream], *, urgent: bool = False) -> Upstream:
        upstream = self._stores.ledger.commit(change, urgent=urgent)
        self._spread(upstream.revision, False)
        return upstream


def require_credits(stores: Stores) -> Balances:
    """Where credits are kept. Raises Conflict (`unsupported_store`) where they cannot be."""
    if stores.balances is None:
        raise Conflict(
            "This store keeps no credits: they need guarded updates, as in SQLite, PostgreSQL or Redis.",
            code="unsupported_store",
        )
    return stores.balances


def _created(edit: Edit, tenant: str, given: Given, wish: UpstreamWish) -> Upstream:
    """A new group with its first key, and with its second where a rotation was asked for as well."""
    name, text = given["api_credit_group"], wish.key or ""
    before = edit.draft.upstream(upstream_id(tenant, name))
    if before is not None and before.deleted_at is None:
        raise Conflict("There is a credit group of this name.", code="group_exists")
    # A name can be taken again; numbers go on, so that no ciphertext of old fits the new group.
    number = 1 if before is None else next_number(before.versions)
    version = rotations.first_version(text, number, edit.now)
    made = Upstream(tenant, name, created_at=edit.now, versions=(version,), **wish.facts)
    edit.seal(made, version, text)
    written = edit.write(made, EventKind.UPSTREAM_CREATED, {"given": given})
    if wish.new_key is None or wish.ends_at is None:
        return written
    rotated = start(edit, written, wish.new_key, Start(wish.ends_at))
    return edit.write(rotated, EventKind.UPSTREAM_ROTATION_STARTED, {"given": given})


def _rotated(edit: Edit, upstream: Upstream, wish: RotationWish) -> tuple[Upstream, EventKind]:
    if wish.key is not None:
        require_key(edit, upstream, wish.key)
    after = start(edit, upstream, wish.new_key, wish.start(edit.now))
    return after, EventKind.UPSTREAM_ROTATION_STARTED


def _changed(edit: Edit, upstream: Upstream, wish: RotationChange) -> tuple[Upstream, EventKind]:
    after = upstream
    if wish.percent is not None:
        after = rotations.stepped(after, wish.percent, now=edit.now)
    if wish.ends_at is not None:
        after = rotations.ending(after, wish.ends_at, now=edit.now)
    return after, EventKind.UPSTREAM_ROTATION_CHANGED
