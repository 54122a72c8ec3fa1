"""`/v1/network-blocks`: where no key of a tenant may be used from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from keyrack.presenting import block_json, page_json
from keyrack.server.bodies import BlockBody, BlocksQuery, NoBody
from keyrack.server.dependencies import By, Engine
from keyrack.server.views import BlockView, Page

router = APIRouter(prefix="/v1/network-blocks", tags=["network-blocks"])
NO_TENANT: dict[int | str, dict[str, Any]] = {404: {"description": "There is no tenant of this id"}}
Of = Annotated[BlocksQuery, Query()]
BlockId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{16}$"})]


@router.post("", status_code=201, response_model=BlockView, responses=NO_TENANT, summary="Block a network")
def block(wish: BlockBody, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """From now on, and until `expires_at` if that is given."""
    made = engine.network_blocks.add(
        wish.cidr, by=by, reason=wish.reason, expires_at=wish.expires_at, tenant=of.tenant
    )
    return block_json(made)


@router.get("", response_model=Page[BlockView], responses=NO_TENANT, summary="List blocked networks")
def find(by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """In the order in which they were made, all on one page; those that expired are gone."""
    return page_json(map(block_json, engine.network_blocks.all(by=by, tenant=of.tenant)), None)


@router.delete("/{block_id}", status_code=204, response_class=Response, summary="Lift a block")
def lift(
    block_id: BlockId, by: By, engine: Engine, of: Of, _: Annotated[NoBody | None, Body()] = None
) -> None:
    """The network may be used from again."""
    engine.network_blocks.lift(block_id, by=by, tenant=of.tenant)
