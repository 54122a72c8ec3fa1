"""Make, change and delete the documents of APIs that callers reach through the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.errors import Conflict, NotFound, PreconditionFailed
from keyrack.core.events import EventKind
from keyrack.core.fields import refuse
from keyrack.core.upstream import Api, api_id
from keyrack.gateway.admin import reach
from keyrack.gateway.admin.api_fields import require_sound, validated
from keyrack.gateway.admin.auditing import audited
from keyrack.gateway.admin.edit import Edit
from keyrack.gateway.admin.origins import origins_of
from keyrack.gateway.admin.reach import MANAGE, READ
from keyrack.givers import as_now
from keyrack.key_changes import Spread, require_changeable
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_api
from keyrack.vault.secrets import Vault

Given = Mapping[str, Any]


class ApiNotFound(NotFound):
    """There is no such API; the gateway answers its callers with the same code and title."""

    code, title = "api_not_found", "API not found"

    def __init__(self) -> None:
        super().__init__("There is no API of this name and version.")


class Apis:
    """Makes and changes APIs, for holders of `upstreams:manage`. Every call blocks until durable.

    APIs are of the caller's tenant unless another is named, which needs `tenants:manage`.
    """

    def __init__(self, stores: Stores, vault: Vault, *, spread: Spread | None = None):
        self._stores = stores
        self._vault = vault
        self._spread = spread or (lambda number, wait: None)

    def create(self, given: Given, *, by: Authority, tenant: str | None = None) -> Api:
        """Make an API. The first one of a group fixes where its key may be sent, unless that was stated.

        Raises ValidationFailed (`public_and_charged`), NotHeld, NotFound (`group_not_found`), Conflict
        (`api_exists`).
        """
        wanted = reach.tenant_for(by, tenant, needs=MANAGE)
        require_changeable(self._stores)
        values = validated(given)

        def change(draft: Draft) -> Api:
            edit = self._edit(draft, by, wanted)
            reach.require_tenant(draft, wanted)
            api = Api(tenant=wanted, created_at=edit.now, **values)
            before = draft.api(api.id)
            if before is not None and before.deleted_at is None:
                raise Conflict("There is an API of this name and version.", code="api_exists")
            require_sound(api)
            _fit(edit, api)
            return _write(edit, api, EventKind.API_CREATED, given)

        return self._commit(change)

    def update(
        self,
        name: str,
        version: str,
        given: Given,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Api:
        """Change fields of an API; those left out stay. Raises as `create` does."""
        values = validated(given, named=(name, version))

        def updated(edit: Edit, api: Api) -> Api:
            after = replace(api, **values)
            require_sound(after)
            if (after.servers, after.group) != (api.servers, api.group):
                _fit(edit, after)
            return after

        return self._change((name, version), updated, by=by, tenant=tenant, if_match=if_match, given=given)

    def delete(
        self,
        name: str,
        version: str,
        *,
        by: Authority,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Api:
        """Delete an API; its name and version may be used again."""

        def deleted(edit: Edit, api: Api) -> Api:
            return replace(api, deleted_at=edit.now)

        return self._change((name, version), deleted, by=by, tenant=tenant, if_match=if_match, given={})

    def get(self, name: str, version: str, *, by: Authority, tenant: str | None = None) -> Api:
        """An API that was not deleted. Raises ApiNotFound, NotHeld."""
        wanted = reach.tenant_for(by, tenant, needs=READ)
        record = self._stores.keys.record(Kind.API, api_id(wanted, name, version))
        return standing(None if record is None else open_api(record, self._stores.peppers))

    def find(
        self, *, by: Authority, tenant: str | None = None, after: int = 0, most: int = 50
    ) -> tuple[list[Api], int | None]:
        """A page of APIs in the order in which they were made, and the cursor of the next page."""
        wanted = reach.tenant_for(by, tenant, needs=READ)
        return reach.page(self._stores, Listing(Kind.API, after, most, wanted), open_api)

    def _change(
        self,
        named: tuple[str, str],
        changed: Callable[[Edit, Api], Api],
        *,
        by: Authority,
        tenant: str | None,
        if_match: int | None,
        given: Given,
    ) -> Api:
        """Commit one change of one API. A change that leaves it as it was writes nothing."""
        wanted = reach.tenant_for(by, tenant, needs=MANAGE)
        require_changeable(self._stores)

        def change(draft: Draft) -> Api:
            edit = self._edit(draft, by, wanted)
            api = standing(draft.api(api_id(wanted, *named)))
            if if_match is not None and if_match != api.revision:
                raise PreconditionFailed(f"The API is at revision {api.revision}; read it again.")
            after = changed(edit, api)
            if after == api:
                return api
            kind = EventKind.API_UPDATED if after.deleted_at is None else EventKind.API_DELETED
            return _write(edit, replace(after, updated_at=edit.now), kind, given)

        return self._commit(change)

    def _edit(self, draft: Draft, by: Authority, tenant: str) -> Edit:
        now = datetime.fromtimestamp(int(self._stores.clock()), UTC)
        giver = as_now(draft, by, now, needs=MANAGE)
        reach.tenant_for(giver, tenant, needs=MANAGE)
        return Edit(draft, self._vault, giver, now)

    def _commit(self, change: Callable[[Draft], Api]) -> Api:
        api = self._stores.ledger.commit(change)
        self._spread(api.revision, False)
        return api


def standing(api: Api | None) -> Api:
    """An API that was not deleted. Raises ApiNotFound."""
    if api is None or api.deleted_at is not None:
        raise ApiNotFound()
    return api


def _fit(edit: Edit, api: Api) -> None:
    """Refuse servers that the group's key may not be sent to; the first API of a group says which may."""
    if api.group is None:
        return
    group, needed = edit.group(api.tenant, api.group), origins_of(api.servers)
    if not group.origins:
        bound = replace(group, origins=needed)
        edit.seal_anew(group, bound)
        edit.write(bound, EventKind.UPSTREAM_UPDATED, {"given": {"api_key_origins": needed}, "api": api.id})
    elif not set(needed) <= set(group.origins):
        raise refuse("api_servers", "The group's key may not be sent there: see its api_key_origins.")


def _write(edit: Edit, api: Api, kind: EventKind, given: Given) -> Api:
    return edit.draft.write_api(api, audited(kind, edit.by, edit.now, {"given": given}))
