"""Make, change, suspend and end tenants: every call says by whom, and a tenant's id is used once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from keyrack.core import fields
from keyrack.core.authority import MANAGE_TENANTS, Authority
from keyrack.core.errors import Conflict, NotFound, PreconditionFailed, ValidationFailed
from keyrack.core.events import Event, EventKind
from keyrack.core.model import DEFAULT_TENANT, SERVICES, Tenant
from keyrack.givers import as_now
from keyrack.key_changes import Spread, require_changeable
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Listing
from keyrack.stores.sealing import open_tenant
from keyrack.wishes import Reader

CHUNK = 100
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,35}")


class Tenants:
    """Makes and changes tenants, for holders of `tenants:manage`. Every call blocks until durable."""

    def __init__(self, stores: Stores, *, spread: Spread | None = None):
        self._stores = stores
        self._spread = spread or (lambda number, wait: None)

    def create(self, tenant_id: str, wish: Mapping[str, Any] | None = None, *, by: Authority) -> Tenant:
        """Make a tenant of this id, named like it unless the wish has a name.

        Raises ValidationFailed, NotHeld, Conflict (`tenant_exists`, also for the id of a deleted one).
        """
        by.require(MANAGE_TENANTS)
        require_changeable(self._stores)
        given = validated({"name": tenant_id, **(wish or {})}, tenant_id=tenant_id)
        tenant = Tenant(id=tenant_id, created_at=self._now(), **given)
        _require_order(tenant)

        def change(draft: Draft) -> Tenant:
            as_now(draft, by, self._now(), needs=MANAGE_TENANTS)
            if draft.tenant(tenant_id) is not None:
                raise Conflict(
                    "A tenant of this id exists, or did: an id is used once.", code="tenant_exists"
                )
            return draft.write_tenant(
                tenant, self._event(EventKind.TENANT_CREATED, by, {"name": tenant.name})
            )

        return self._commit(change)

    def update(
        self, tenant_id: str, changes: Mapping[str, Any], *, by: Authority, if_match: int | None = None
    ) -> Tenant:
        """Change fields of a tenant: name, starts_at, ends_at, limits, quota, metadata."""
        after = validated(changes)
        return self._change(
            tenant_id,
            lambda tenant: replace(tenant, **after),
            kind=EventKind.TENANT_UPDATED,
            by=by,
            if_match=if_match,
            data={"fields": sorted(after)},
        )

    def suspend(
        self, tenant_id: str, service: str, *, by: Authority, reason: str | None = None, wait: bool = False
    ) -> Tenant:
        """Refuse a service to a tenant; `workspace` refuses all of them. With `wait`, as in revoke."""

        def suspended(tenant: Tenant) -> Tenant:
            return replace(tenant, suspended=tuple(sorted({*tenant.suspended, service})))

        data = _service(service, reason)
        return self._change(
            tenant_id, suspended, kind=EventKind.TENANT_SUSPENDED, by=by, data=data, wait=wait
        )

    def resume(self, tenant_id: str, service: str, *, by: Authority, reason: str | None = None) -> Tenant:
        """Give a suspended service back."""

        def resumed(tenant: Tenant) -> Tenant:
            return replace(tenant, suspended=tuple(one for one in tenant.suspended if one != service))

        data = _service(service, reason)
        return self._change(tenant_id, resumed, kind=EventKind.TENANT_RESUMED, by=by, data=data)

    def delete(
        self, tenant_id: str, *, by: Authority, if_match: int | None = None, wait: bool = False
    ) -> Tenant:
        """End a tenant for good: none of its keys works again, and nobody gets its id."""
        if tenant_id == DEFAULT_TENANT:
            raise Conflict("The default tenant cannot be deleted.")
        return self._change(
            tenant_id,
            lambda tenant: replace(tenant, deleted_at=self._now()),
            kind=EventKind.TENANT_DELETED,
            by=by,
            if_match=if_match,
            wait=wait,
        )

    def get(self, tenant_id: str, *, by: Authority) -> Tenant:
        """A tenant that was not deleted. Raises NotFound, NotHeld."""
        by.require(MANAGE_TENANTS)
        record = self._stores.keys.record(Kind.TENANT, tenant_id)
        return _standing(None if record is None else open_tenant(record, self._stores.peppers))

    def find(self, listing: Listing, *, by: Authority) -> tuple[list[Tenant], int | None]:
        """A page of tenants in the order in which they were made, and the cursor of the next page."""
        by.require(MANAGE_TENANTS)
        found = list(islice(self._standing(listing.after), listing.most + 1))
        page = found[: listing.most]
        return [tenant for _, tenant in page], page[-1][0] if len(found) > listing.most else None

    def _standing(self, after: int) -> Iterator[tuple[int, Tenant]]:
        """Tenants that were not deleted, each with its place in the list."""
        while records := self._stores.keys.records(Listing(Kind.TENANT, after=after, most=CHUNK)):
            opened = ((record.serial, open_tenant(record, self._stores.peppers)) for record in records)
            yield from ((serial, tenant) for serial, tenant in opened if tenant.deleted_at is None)
            after = records[-1].serial

    def _change(
        self,
        tenant_id: str,
        changed: Callable[[Tenant], Tenant],
        *,
        kind: EventKind,
        by: Authority,
        if_match: int | None = None,
        wait: bool = False,
        data: Mapping[str, Any] | None = None,
    ) -> Tenant:
        """Commit one change of one tenant. A change that leaves it as it was writes nothing."""
        by.require(MANAGE_TENANTS)
        require_changeable(self._stores)

        def change(draft: Draft) -> Tenant:
            as_now(draft, by, self._now(), needs=MANAGE_TENANTS)
            tenant = _standing(draft.tenant(tenant_id))
            if if_match is not None and if_match != tenant.revision:
                raise PreconditionFailed(f"The tenant is at revision {tenant.revision}; read it again.")
            after = changed(tenant)
            _require_order(after)
            if after == tenant:
                return tenant
            stamped = replace(after, updated_at=self._now())
            return draft.write_tenant(stamped, self._event(kind, by, data or {}))

        urgent = kind in (EventKind.TENANT_SUSPENDED, EventKind.TENANT_DELETED)
        return self._commit(change, urgent=urgent, wait=wait)

    def _commit(
        self, change: Callable[[Draft], Tenant], *, urgent: bool = False, wait: bool = False
    ) -> Tenant:
        tenant = self._stores.ledger.commit(change, urgent=urgent)
        self._spread(tenant.revision, wait)
        return tenant

    def _event(self, kind: EventKind, by: Authority, data: Mapping[str, Any]) -> Event:
        return Event(kind, self._now(), by.name, data=data, request_id=by.request_id, address=by.address)

    def _now(self) -> datetime:
        """The store's time to the second: what is written is compared with what is read back."""
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def validated(given: Mapping[str, Any], *, tenant_id: str | None = None) -> dict[str, Any]:
    """The fields of a tenant, checked; any other field, and an id that none can have, is refused."""
    unknown = sorted(set(given) - set(_RULES))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be set."] for name in unknown})
    read = Reader()
    if tenant_id is not None:
        read("id", _checked_id, tenant_id)
    fields_read = {name: read(name, _RULES[name], value) for name, value in given.items()}
    read.finish()
    return fields_read


def _checked_id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise fields.refuse("id", "Give a letter or digit, then up to 35 of letters, digits, `_` and `-`.")
    return value


def _instant(value: object, field: str) -> datetime | None:
    return None if value is None else fields.instant(value, field).replace(microsecond=0)


_RULES: Mapping[str, Callable[[Any], Any]] = {
    "name": fields.name,
    "starts_at": lambda value: _instant(value, "starts_at"),
    "ends_at": lambda value: _instant(value, "ends_at"),
    "limits": lambda value: () if value is None else fields.limits(value),
    "quota": lambda value: None if value is None else fields.metadata(value, "quota"),
    "metadata": lambda value: {} if value is None else fields.metadata(value),
}


def _service(service: str, reason: str | None) -> dict[str, str]:
    """What an event says of a suspension. Raises ValidationFailed for a service that there is not."""
    if service not in SERVICES:
        raise fields.refuse("service", f"Give one of: {', '.join(SERVICES)}.")
    return {"service": service} if reason is None else {"service": service, "reason": fields.reason(reason)}


def _require_order(tenant: Tenant) -> None:
    if tenant.starts_at and tenant.ends_at and tenant.ends_at <= tenant.starts_at:
        raise fields.refuse("ends_at", "Give a time after starts_at.")


def _standing(tenant: Tenant | None) -> Tenant:
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound("There is no tenant of this id.")
    return tenant
