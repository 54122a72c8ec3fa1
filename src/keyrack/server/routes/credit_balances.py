"""`/v1/credit-balances`: what users have left in each group; `/v1/me/credit-balances`: what one has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response

from keyrack.core import fields
from keyrack.gateway.admin.presenting import balance_json
from keyrack.presenting import page_json
from keyrack.server.balance_bodies import BalancePatchBody, BalancesQuery, BalanceView
from keyrack.server.bodies import NoBody
from keyrack.server.dependencies import By, Engine
from keyrack.server.table import uncharged
from keyrack.server.upstream_bodies import GROUP_PATTERN, TenantQuery
from keyrack.server.views import Page

router = APIRouter(prefix="/v1", tags=["credit-balances"])
ANY = uncharged()
"""Any valid key, whatever its scopes; and whoever has no credits may still see that."""
UserName = Annotated[
    str,
    Path(
        description="The user: the owner of keys.",
        json_schema_extra={"minLength": 1, "maxLength": fields.MAX_NAME, "pattern": "^[^/]+$"},
    ),
]
GroupName = Annotated[
    str, Path(description="The group's name.", json_schema_extra={"pattern": GROUP_PATTERN})
]
Of = Annotated[TenantQuery, Query()]


@router.get("/credit-balances", response_model=Page[BalanceView], summary="List balances")
def find(by: By, engine: Engine, query: Annotated[BalancesQuery, Query()]) -> dict[str, Any]:
    """Of all users, in the order in which they were made."""
    found, following = engine.credit_balances.find(
        by=by, tenant=query.tenant, after=query.after, most=query.limit, search=query.search or ""
    )
    return page_json(map(balance_json, found), following)


@router.get(
    "/credit-balances/{username}", response_model=Page[BalanceView], summary="Look at a user's balances"
)
def of_user(username: UserName, by: By, engine: Engine, of: Of) -> dict[str, Any]:
    """One for each group in which the user has any, all on one page."""
    return page_json(map(balance_json, engine.credit_balances.of(username, by=by, tenant=of.tenant)), None)


@router.patch(
    "/credit-balances/{username}/{group}", response_model=BalanceView, summary="Change a user's balance"
)
def amend(
    username: UserName, group: GroupName, changes: BalancePatchBody, by: By, engine: Engine, of: Of
) -> dict[str, Any]:
    """Of this user in this group alone. A missing balance is made; then `tier_name` is required."""
    given = changes.model_dump(exclude_unset=True)
    return balance_json(engine.credit_balances.amend(username, group, given, by=by, tenant=of.tenant))


@router.delete(
    "/credit-balances/{username}/{group}",
    status_code=204,
    response_class=Response,
    summary="Remove a user's balance",
)
def remove(
    username: UserName,
    group: GroupName,
    by: By,
    engine: Engine,
    of: Of,
    _: Annotated[NoBody | None, Body()] = None,
) -> None:
    """The user has no credits there any more, and the user's own key is erased."""
    engine.credit_balances.remove(username, group, by=by, tenant=of.tenant)


@router.get("/me/credit-balances", response_model=Page[BalanceView], summary="Look at your own balances")
def own(request: Request, by: By, engine: Engine) -> dict[str, Any]:
    """Any valid key may: those of its owner, all on one page."""
    request.state.key.require(ANY)
    return page_json(map(balance_json, engine.credit_balances.own(by=by)), None)
