"""Tenants over HTTP. Each operation is one call of `TenantBook`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Response

from examples.log_lake.bodies import NewTenant, Suspension, TenantChange
from examples.log_lake.reading import body_of
from examples.log_lake.routes.context import By, Cursor, Here, PageSize
from keyrack import Listing

Wanted = Annotated[Suspension, Depends(body_of(Suspension))]


def create_tenant(
    service: Here, by: By, body: Annotated[NewTenant, Depends(body_of(NewTenant))]
) -> dict[str, Any]:
    """Make a tenant, whose id nobody had before."""
    return service.tenants.create(body.given(), by=by)


def list_tenants(service: Here, by: By, cursor: Cursor = 0, page_size: PageSize = 50) -> dict[str, Any]:
    """The tenants that there are."""
    return service.tenants.find(Listing(after=cursor, most=page_size), by=by)


def get_tenant(service: Here, by: By, tenant: str) -> dict[str, Any]:
    """One tenant."""
    return service.tenants.get(tenant, by=by)


def change_tenant(
    service: Here, by: By, tenant: str, body: Annotated[TenantChange, Depends(body_of(TenantChange))]
) -> dict[str, Any]:
    """Change what may be changed about a tenant."""
    return service.tenants.change(tenant, body.given(), by=by)


def delete_tenant(service: Here, by: By, tenant: str) -> Response:
    """End a tenant for good; its events stay until they are purged."""
    service.tenants.delete(tenant, by=by)
    return Response(status_code=204)


def suspend_tenant(service: Here, by: By, tenant: str, body: Wanted) -> dict[str, Any]:
    """Refuse a service to a tenant."""
    return service.tenants.suspend(tenant, body.service, by=by, reason=body.reason)


def resume_tenant(service: Here, by: By, tenant: str, body: Wanted) -> dict[str, Any]:
    """Give a service back to a tenant."""
    return service.tenants.resume(tenant, body.service, by=by, reason=body.reason)


HANDLERS = (
    create_tenant,
    list_tenants,
    get_tenant,
    change_tenant,
    delete_tenant,
    suspend_tenant,
    resume_tenant,
)
