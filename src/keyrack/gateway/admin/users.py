"""Which APIs use a credit group, asked inside a commit."""

from __future__ import annotations

from collections.abc import Mapping

from keyrack.core.errors import Conflict
from keyrack.core.upstream import Api, Upstream
from keyrack.gateway.admin.reach import everything
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_api


class Users:
    """The APIs of a tenant as they were a moment ago, and what a commit finds changed since."""

    def __init__(self, stores: Stores, tenant: str):
        self._stores = stores
        # The number first: what is changed while the list is read is found again in the commit.
        last = stores.keys.last()
        self._number = 0 if last is None else last.number
        listing = Listing(Kind.API, tenant=tenant)
        self._known: Mapping[str, Api] = {api.id: api for _, api in everything(stores, listing, open_api)}

    def require_none(self, draft: Draft, upstream: Upstream) -> None:
        """Refuse to go on while an API uses a group. Raises Conflict (`group_in_use`)."""
        changed = (one for one in draft.changed_since(self._number) if one.kind is Kind.API)
        now = {**self._known, **{one.id: open_api(one, self._stores.peppers) for one in changed}}
        users = [api for api in now.values() if _uses(api, upstream)]
        if users:
            names = ", ".join(sorted(f"{api.name} {api.version}" for api in users))
            raise Conflict(f"This group is used by: {names}.", code="group_in_use")


def _uses(api: Api, upstream: Upstream) -> bool:
    return (api.tenant, api.group, api.deleted_at) == (upstream.tenant, upstream.name, None)
