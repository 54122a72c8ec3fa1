"""`/v1/apis`: which APIs callers reach through the gateway, what their operations need and cost."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from keyrack.core.upstream import Api
from keyrack.gateway.admin.presenting import api_json
from keyrack.presenting import page_json
from keyrack.server.bodies import NoBody
from keyrack.server.dependencies import By, Engine, IfMatch
from keyrack.server.upstream_bodies import (
    API_NAME_PATTERN,
    API_VERSION_PATTERN,
    ApiBody,
    ApiPutBody,
    TenantPaging,
    TenantQuery,
)
from keyrack.server.upstream_views import ApiView
from keyrack.server.views import Page

router = APIRouter(prefix="/v1/apis", tags=["apis"])
ApiName = Annotated[str, Path(description="The API's name.", json_schema_extra={"pattern": API_NAME_PATTERN})]
ApiVersion = Annotated[
    str, Path(description="The API's version.", json_schema_extra={"pattern": API_VERSION_PATTERN})
]
Of = Annotated[TenantQuery, Query()]
NOT_THERE: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no credit group of this name, or no tenant of this id"}
}


@router.post("", status_code=201, response_model=ApiView, responses=NOT_THERE, summary="Create an API")
def create(wish: ApiBody, response: Response, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """The first API of a group says where the group's key may be sent, unless that was stated before."""
    given = wish.model_dump(exclude_unset=True)
    return _shown(engine.apis.create(given, by=by, tenant=of.tenant), response)


@router.get("", response_model=Page[ApiView], summary="List APIs")
def find(by: By, engine: Engine, query: Annotated[TenantPaging, Query()]) -> dict[str, Any]:
    """In the order in which they were made."""
    found, following = engine.apis.find(by=by, tenant=query.tenant, after=query.after, most=query.limit)
    return page_json(map(api_json, found), following)


@router.get("/{api_name}/{api_version}", response_model=ApiView, summary="Look at an API")
def get(
    api_name: ApiName, api_version: ApiVersion, response: Response, by: By, engine: Engine, of: Of
) -> dict[str, Any]:
    """Its whole document."""
    return _shown(engine.apis.get(api_name, api_version, by=by, tenant=of.tenant), response)


@router.put("/{api_name}/{api_version}", response_model=ApiView, summary="Change an API")
def update(
    api_name: ApiName,
    api_version: ApiVersion,
    wish: ApiPutBody,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
) -> dict[str, Any]:
    """Fields that are left out stay; lists replace the list that was there."""
    given = wish.model_dump(exclude_unset=True)
    changed = engine.apis.update(api_name, api_version, given, by=by, tenant=of.tenant, if_match=if_match)
    return _shown(changed, response)


@router.delete("/{api_name}/{api_version}", status_code=204, response_class=Response, summary="Delete an API")
def delete(
    api_name: ApiName,
    api_version: ApiVersion,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
    _: Annotated[NoBody | None, Body()] = None,
) -> None:
    """Its name and version may be used again."""
    engine.apis.delete(api_name, api_version, by=by, tenant=of.tenant, if_match=if_match)


def _shown(api: Api, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{api.revision}"'
    return api_json(api)
