"""Tenants: what clients ask, in the words of this service, said to Keyrack in its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from examples.log_lake.problems import Conflict, UnprocessableContent, written
from examples.log_lake.reading import named
from keyrack import Authority, Listing, Tenant, Verifier

DEFAULT_PERIOD = "Monthly"
MAX_LIMIT = 10**15
NAMES = {"id": "tenantId", "name": "customerName", "starts_at": "startDate", "ends_at": "endDate"}
"""What Keyrack calls a field, and what clients of this service do."""
FIELDS = {"customer_name": "name", "start_date": "starts_at", "end_date": "ends_at"}


class TenantBook:
    """Makes, shows and changes tenants. Every call blocks and says by whom."""

    def __init__(self, verifier: Verifier, *, multi_tenant: bool):
        self._tenants = verifier.tenants()
        self._multi_tenant = multi_tenant

    def create(self, given: Mapping[str, Any], *, by: Authority) -> dict[str, Any]:
        """A new tenant. Raises Conflict for an id that is or was somebody's, and where there is but one."""
        if not self._multi_tenant:
            raise Conflict("This lake has the tenant `default` only: LAKE_MULTI_TENANT is off.")
        with named(NAMES):
            return shown(self._tenants.create(given["tenant_id"], _changes(given), by=by))

    def find(self, listing: Listing, *, by: Authority) -> dict[str, Any]:
        """A page of tenants."""
        tenants, cursor = self._tenants.find(listing, by=by)
        return {
            "data": [shown(tenant) for tenant in tenants],
            "next_cursor": None if cursor is None else str(cursor),
        }

    def get(self, tenant_id: str, *, by: Authority) -> dict[str, Any]:
        """One tenant."""
        return shown(self._tenants.get(tenant_id, by=by))

    def change(self, tenant_id: str, given: Mapping[str, Any], *, by: Authority) -> dict[str, Any]:
        """The tenant after a change; what was not given stays."""
        tenant = self._tenants.get(tenant_id, by=by)
        with named(NAMES):
            changed = self._tenants.update(
                tenant_id, _changes(given, tenant), by=by, if_match=tenant.revision
            )
        return shown(changed)

    def delete(self, tenant_id: str, *, by: Authority) -> None:
        """End a tenant for good."""
        self._tenants.delete(tenant_id, by=by)

    def suspend(self, tenant_id: str, service: str, *, by: Authority, reason: str | None) -> dict[str, Any]:
        """Refuse a service to a tenant."""
        return shown(self._tenants.suspend(tenant_id, service, by=by, reason=reason))

    def resume(self, tenant_id: str, service: str, *, by: Authority, reason: str | None) -> dict[str, Any]:
        """Give a service back to a tenant."""
        return shown(self._tenants.resume(tenant_id, service, by=by, reason=reason))


def shown(tenant: Tenant) -> dict[str, Any]:
    """A tenant as this service shows it."""
    quota = dict(tenant.quota or {})
    period = quota.pop("period", None)
    return {
        "tenantId": tenant.id,
        "customerName": tenant.name,
        "startDate": tenant.starts_at and written(tenant.starts_at),
        "endDate": tenant.ends_at and written(tenant.ends_at),
        "plan": tenant.metadata.get("plan"),
        "quota": quota or None,
        "quotaPeriod": period,
        "suspendedServices": list(tenant.suspended),
        "createdAt": written(tenant.created_at),
        "modifiedAt": written(tenant.updated_at or tenant.created_at),
    }


def _changes(given: Mapping[str, Any], tenant: Tenant | None = None) -> dict[str, Any]:
    """What Keyrack is to change, where plan and period are parts of something larger."""
    changes = {FIELDS[name]: value for name, value in given.items() if name in FIELDS}
    if "plan" in given:
        changes["metadata"] = {**(tenant.metadata if tenant else {}), "plan": given["plan"]}
    if "quota" in given or "quota_period" in given:
        changes["quota"] = _quota(given, (tenant and tenant.quota) or {})
    return changes


def _quota(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any] | None:
    quota = given.get("quota", before)
    if not quota:
        return None
    if not 1 <= quota["limit"] <= MAX_LIMIT:
        raise UnprocessableContent({"quota.limit": [f"Give a whole number from 1 to {MAX_LIMIT}."]})
    period = given.get("quota_period", before.get("period", DEFAULT_PERIOD))
    return {"type": quota["type"], "limit": quota["limit"], "period": period}
