"""`/v1/tenants`: who owns keys, and which of their services are suspended."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.responses import StreamingResponse

from keyrack.core.model import Tenant
from keyrack.gateway.admin.exporting import export
from keyrack.presenting import page_json, tenant_json
from keyrack.server.bodies import TENANT_ID, NoBody, Paging, ServiceBody, TenantBody, TenantPatchBody
from keyrack.server.dependencies import By, Engine, IfMatch
from keyrack.server.views import Page, TenantView
from keyrack.stores.protocols import Kind, Listing


class ExportResponse(StreamingResponse):
    """Lines that are written as they are read."""

    media_type = "application/x-ndjson"


router = APIRouter(prefix="/v1/tenants", tags=["tenants"])
TenantId = Annotated[str, Path(json_schema_extra={"pattern": f"^{TENANT_ID}$"})]


@router.post("", status_code=201, response_model=TenantView, summary="Create a tenant")
def create(wish: TenantBody, response: Response, by: By, engine: Engine) -> dict[str, Any]:
    """A tenant id is used once, for good."""
    given = wish.model_dump(exclude_unset=True)
    return _shown(engine.tenants.create(given.pop("id"), given, by=by), response)


@router.get("", response_model=Page[TenantView], summary="List tenants")
def find(by: By, engine: Engine, query: Annotated[Paging, Query()]) -> dict[str, Any]:
    """In the order in which they were made."""
    listing = Listing(kind=Kind.TENANT, after=query.after, most=query.limit)
    tenants, following = engine.tenants.find(listing, by=by)
    return page_json(map(tenant_json, tenants), following)


@router.get("/{tenant_id}", response_model=TenantView, summary="Look at a tenant")
def get(tenant_id: TenantId, response: Response, by: By, engine: Engine) -> dict[str, Any]:
    """With its suspended services."""
    return _shown(engine.tenants.get(tenant_id, by=by), response)


@router.patch("/{tenant_id}", response_model=TenantView, summary="Change a tenant")
def update(
    tenant_id: TenantId,
    changes: TenantPatchBody,
    response: Response,
    by: By,
    engine: Engine,
    if_match: IfMatch,
) -> dict[str, Any]:
    """Fields that are left out stay; null clears."""
    given = changes.model_dump(exclude_unset=True)
    return _shown(engine.tenants.update(tenant_id, given, by=by, if_match=if_match), response)


@router.delete("/{tenant_id}", status_code=204, response_class=Response, summary="Delete a tenant")
def delete(
    tenant_id: TenantId, by: By, engine: Engine, if_match: IfMatch, _: Annotated[NoBody | None, Body()] = None
) -> None:
    """Final: its keys stop working and its id is never given again."""
    engine.tenants.delete(tenant_id, by=by, if_match=if_match)


@router.post("/{tenant_id}/suspend", response_model=TenantView, summary="Suspend a service")
def suspend(
    tenant_id: TenantId, wish: ServiceBody, response: Response, by: By, engine: Engine
) -> dict[str, Any]:
    """`workspace` suspends all of them."""
    suspended = engine.tenants.suspend(tenant_id, wish.service, by=by, reason=wish.reason)
    return _shown(suspended, response)


@router.post("/{tenant_id}/resume", response_model=TenantView, summary="Resume a service")
def resume(
    tenant_id: TenantId, wish: ServiceBody, response: Response, by: By, engine: Engine
) -> dict[str, Any]:
    """Undo a suspension."""
    resumed = engine.tenants.resume(tenant_id, wish.service, by=by, reason=wish.reason)
    return _shown(resumed, response)


@router.get("/{tenant_id}/export", response_class=ExportResponse, summary="Export a tenant")
def export_tenant(tenant_id: TenantId, by: By, engine: Engine) -> ExportResponse:
    """All that is known of it, a JSON object a line; without the last, an `end`, it was cut off."""
    lines = export(engine.stores, tenant_id, by=by)
    return ExportResponse(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _shown(tenant: Tenant, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{tenant.revision}"'
    return tenant_json(tenant)
