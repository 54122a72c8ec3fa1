"""`/v1/credits`: keys of upstreams, which are sent for callers, and how they are rotated."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from keyrack.core.upstream import Upstream
from keyrack.gateway.admin.presenting import (
    history_json,
    rotation_json,
    upstream_json,
    use_if_readable,
    versions_json,
)
from keyrack.presenting import page_json
from keyrack.server.bodies import NoBody
from keyrack.server.dependencies import By, Engine, IfMatch
from keyrack.server.upstream_bodies import (
    GROUP_PATTERN,
    GroupBody,
    GroupPutBody,
    PromotionBody,
    RotationPatchBody,
    RotationStartBody,
    TenantPaging,
    TenantQuery,
)
from keyrack.server.upstream_views import GroupVersionView, GroupView, HistoryView, RotationView
from keyrack.server.views import Page

router = APIRouter(prefix="/v1/credits", tags=["credits"])
GroupName = Annotated[
    str, Path(description="The group's name.", json_schema_extra={"pattern": GROUP_PATTERN})
]
Of = Annotated[TenantQuery, Query()]
Part = Annotated[TenantPaging, Query()]
Nothing = Annotated[NoBody | None, Body()]
NO_TENANT: dict[int | str, dict[str, Any]] = {404: {"description": "There is no tenant of this id"}}


@router.post(
    "", status_code=201, response_model=GroupView, responses=NO_TENANT, summary="Create a credit group"
)
def create(wish: GroupBody, response: Response, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """Its key is encrypted before this answers, and no answer ever shows it."""
    given = wish.model_dump(exclude_unset=True)
    return _changed(engine.upstreams.create(given, by=by, tenant=of.tenant), response, engine)


@router.get("", response_model=Page[GroupView], summary="List credit groups")
def find(by: By, engine: Engine, query: Part) -> dict[str, Any]:
    """In the order in which they were made."""
    found, following = engine.upstreams.find(by=by, tenant=query.tenant, after=query.after, most=query.limit)
    uses, now = engine.tally.uses_of(found), engine.now()
    return page_json((upstream_json(one, uses[one.id], now) for one in found), following)


@router.get("/{group}", response_model=GroupView, summary="Look at a credit group")
def get(group: GroupName, response: Response, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """Its key only in the masked form."""
    upstream = engine.upstreams.get(group, by=by, tenant=of.tenant)
    _tag(upstream, response)
    return upstream_json(upstream, engine.tally.use_of(upstream), engine.now())


@router.put("/{group}", response_model=GroupView, summary="Change a credit group")
def update(
    group: GroupName,
    wish: GroupPutBody,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
) -> dict[str, Any]:
    """Fields that are left out stay. `api_key` alone replaces the key; with a new one a rotation starts."""
    given = wish.model_dump(exclude_unset=True)
    changed = engine.upstreams.update(group, given, by=by, tenant=of.tenant, if_match=if_match)
    return _changed(changed, response, engine)


@router.delete("/{group}", status_code=204, response_class=Response, summary="Delete a credit group")
def delete(group: GroupName, by: By, engine: Engine, of: Of, if_match: IfMatch, _: Nothing = None) -> None:
    """Its keys are erased. Refused while an API uses it."""
    engine.upstreams.delete(group, by=by, tenant=of.tenant, if_match=if_match)


@router.get("/{group}/versions", response_model=Page[GroupVersionView], summary="List versions of a key")
def versions(group: GroupName, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """By number, all on one page, with the use of each."""
    upstream = engine.upstreams.get(group, by=by, tenant=of.tenant)
    return page_json(versions_json(upstream, engine.tally.use_of(upstream), engine.now()), None)


@router.get("/{group}/history", response_model=Page[HistoryView], summary="Read the history of a group")
def history(group: GroupName, by: By, engine: Engine, query: Part) -> dict[str, Any]:
    """Every change in order, of a deleted group as well."""
    found, following = engine.upstreams.history(
        group, by=by, tenant=query.tenant, after=query.after, most=query.limit
    )
    return page_json(map(history_json, found), following)


@router.post(
    "/{group}/rotation", status_code=201, response_model=RotationView, summary="Rotate an upstream's key"
)
def rotate(
    group: GroupName,
    wish: RotationStartBody,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
) -> dict[str, Any]:
    """Both keys are live until the end of grace; the new one is encrypted before this answers."""
    given = wish.model_dump(exclude_unset=True)
    changed = engine.upstreams.rotate(group, given, by=by, tenant=of.tenant, if_match=if_match)
    return _rotation(changed, response, engine)


@router.get("/{group}/rotation", response_model=RotationView, summary="Look at an upstream's rotation")
def rotation(group: GroupName, response: Response, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """With what was sent in each of its hours, by version and outcome."""
    upstream = engine.upstreams.get(group, by=by, tenant=of.tenant)
    _tag(upstream, response)
    return rotation_json(upstream, engine.tally.use_of(upstream), engine.now())


@router.patch("/{group}/rotation", response_model=RotationView, summary="Change an upstream's rotation")
def change_rotation(
    group: GroupName,
    wish: RotationPatchBody,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
) -> dict[str, Any]:
    """Which share of requests prefers the new key, and when grace ends."""
    given = wish.model_dump(exclude_unset=True)
    changed = engine.upstreams.change_rotation(group, given, by=by, tenant=of.tenant, if_match=if_match)
    return _rotation(changed, response, engine)


@router.post("/{group}/rotation/promote", response_model=RotationView, summary="End grace early")
def promote(
    group: GroupName,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
    wish: Annotated[PromotionBody | None, Body()] = None,
) -> dict[str, Any]:
    """Only the new key stays; with `destroy` the old one is erased at once."""
    destroy = wish is not None and wish.destroy
    changed = engine.upstreams.promote(group, by=by, tenant=of.tenant, if_match=if_match, destroy=destroy)
    return _rotation(changed, response, engine)


@router.post("/{group}/rotation/abort", response_model=RotationView, summary="Drop the new key")
def abort(
    group: GroupName,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
    _: Nothing = None,
) -> dict[str, Any]:
    """The one before it is the primary again; the new one is erased."""
    changed = engine.upstreams.abort(group, by=by, tenant=of.tenant, if_match=if_match)
    return _rotation(changed, response, engine)


@router.post("/{group}/rotation/undo", response_model=RotationView, summary="Bring the old key back")
def undo(
    group: GroupName,
    response: Response,
    by: By,
    engine: Engine,
    of: Of,
    if_match: IfMatch,
    _: Nothing = None,
) -> dict[str, Any]:
    """Within a day of its end, unless it was destroyed."""
    changed = engine.upstreams.undo(group, by=by, tenant=of.tenant, if_match=if_match)
    return _rotation(changed, response, engine)


def _changed(upstream: Upstream, response: Response, engine: Engine) -> dict[str, Any]:
    _tag(upstream, response)
    return upstream_json(upstream, use_if_readable(engine.tally, upstream), engine.now())


def _rotation(upstream: Upstream, response: Response, engine: Engine) -> dict[str, Any]:
    _tag(upstream, response)
    return rotation_json(upstream, use_if_readable(engine.tally, upstream), engine.now())


def _tag(upstream: Upstream, response: Response) -> None:
    response.headers["ETag"] = f'"{upstream.revision}"'
