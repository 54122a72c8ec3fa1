"""`/v1/events` and `/v1/denials`: what was changed, and what was refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyrack.core.authority import MANAGE_TENANTS
from keyrack.core.errors import NotHeld
from keyrack.core.events import open_entry
from keyrack.presenting import event_json, page_json, refusal_json
from keyrack.server.dependencies import By, Cursor, Engine, Limit
from keyrack.server.schemas import DenialView, EventView, Page
from keyrack.stores.protocols import Excerpt

router = APIRouter(prefix="/v1", tags=["audit"])
Named = Annotated[str | None, Query(max_length=100)]


@router.get("/events", response_model=Page[EventView], summary="Read the log")
def events(
    by: By,
    engine: Engine,
    limit: Limit = 50,
    cursor: Cursor = None,
    tenant: Named = None,
    subject: Named = None,
) -> dict[str, Any]:
    """In order. Without `tenants:manage` only the events of the caller's own tenant."""
    excerpt = Excerpt(after=cursor or 0, most=limit + 1, tenant=_tenant(by, tenant), subject=subject)
    found = engine.stores.keys.entries(excerpt)
    shown = (event_json(open_entry(entry, engine.stores.peppers)[0]) for entry in found[:limit])
    return page_json(shown, found[limit - 1].number if len(found) > limit else None)


@router.get("/denials", response_model=Page[DenialView], summary="Read the refusals")
def denials(
    by: By, engine: Engine, limit: Limit = 50, cursor: Cursor = None, tenant: Named = None
) -> dict[str, Any]:
    """In order; unproved ones of one address and reason are merged with a count."""
    found = engine.stores.journal.refusals(after=cursor or 0, most=limit + 1, tenant=_tenant(by, tenant))
    shown = (refusal_json(refusal) for _, refusal in found[:limit])
    return page_json(shown, found[limit - 1][0] if len(found) > limit else None)


def _tenant(by: By, wanted: str | None) -> str | None:
    """The tenant that the caller may read of: its own, or with `tenants:manage` any, or all."""
    if by.holds(MANAGE_TENANTS):
        return wanted
    if wanted not in (None, by.tenant):
        raise NotHeld([MANAGE_TENANTS])
    return by.tenant
