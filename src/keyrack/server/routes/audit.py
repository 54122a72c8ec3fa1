"""`/v1/events` and `/v1/denials`: what was changed, and what was refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from keyrack.core.authority import MANAGE_TENANTS
from keyrack.core.errors import NotHeld
from keyrack.core.events import open_known
from keyrack.presenting import event_json, page_json, refusal_json
from keyrack.server.bodies import DenialsQuery, EventsQuery
from keyrack.server.dependencies import By, Engine
from keyrack.server.views import DenialView, EventView, Page
from keyrack.stores.protocols import Excerpt

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/events", response_model=Page[EventView], summary="Read the log")
def events(by: By, engine: Engine, query: Annotated[EventsQuery, Query()]) -> dict[str, Any]:
    """In order. Without `tenants:manage` only the events of the caller's own tenant."""
    tenant = _tenant(by, query.tenant)
    excerpt = Excerpt(after=query.after, most=query.limit + 1, tenant=tenant, subject=query.subject)
    found = engine.stores.keys.entries(excerpt)
    page = found[: query.limit]
    shown = (event_json(open_known(entry, engine.stores.peppers)[0]) for entry in page)
    return page_json(shown, page[-1].number if len(found) > len(page) else None)


@router.get("/denials", response_model=Page[DenialView], summary="Read the refusals")
def denials(by: By, engine: Engine, query: Annotated[DenialsQuery, Query()]) -> dict[str, Any]:
    """In order; unproved ones of one address and reason are merged with a count."""
    tenant = _tenant(by, query.tenant)
    found = engine.stores.journal.refusals(after=query.after, most=query.limit + 1, tenant=tenant)
    page = found[: query.limit]
    shown = (refusal_json(refusal) for _, refusal in page)
    return page_json(shown, page[-1][0] if len(found) > len(page) else None)


def _tenant(by: By, wanted: str | None) -> str | None:
    """The tenant that the caller may read of: its own, or with `tenants:manage` any, or all."""
    if by.holds(MANAGE_TENANTS):
        return wanted
    if wanted not in (None, by.tenant):
        raise NotHeld([MANAGE_TENANTS])
    return by.tenant
