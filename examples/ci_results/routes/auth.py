"""Tokens: get one with a password, look at one's own, end one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from examples.ci_results.enumerations import Role
from examples.ci_results.problems import LacksRole
from examples.ci_results.routes.dependencies import Caller, CallerKey, Services
from examples.ci_results.schemas.fields import Id, pagination
from examples.ci_results.schemas.tokens import (
    IssuedView,
    LoginBody,
    TokensQuery,
    TokensView,
    issued_view,
    token_view,
)
from examples.ci_results.services import grants
from examples.ci_results.services.tokens import Request

TokenId = Annotated[Id, Path(description="The token's id, which is no part of its text.")]


def login(body: LoginBody, service: Services) -> IssuedView:
    """The only answer in which the token is seen."""
    request = Request(body.email, body.password, body.token_name, body.scopes, body.expires_in_days)
    return issued_view(service.tokens.login(request))


def list_tokens(query: Annotated[TokensQuery, Query()], caller: Caller, service: Services) -> TokensView:
    """One's own tokens, the newest first; an admin may ask for all."""
    if query.all and caller.role is not Role.ADMIN:
        raise LacksRole([Role.ADMIN], caller.role, "Only an admin sees the tokens of others.")
    page = service.tokens.find(caller, everybody=query.all, limit=query.limit, offset=query.offset)
    return TokensView(
        data=[token_view(token) for token in page.tokens], pagination=pagination(query, page.total)
    )


def revoke_current_token(key: CallerKey, service: Services) -> Response:
    """The token that this request presents ends now."""
    service.tokens.revoke_key(key.key.id)
    return Response(status_code=204)


def revoke_token(token_id: TokenId, caller: Caller, key: CallerKey, service: Services) -> Response:
    """A token of one's own, or, as an admin with `tokens:manage`, anybody's."""
    manages = grants.TOKENS_MANAGE in grants.effective(key.scopes, caller.role)
    service.tokens.revoke(token_id, caller, manages=manages)
    return Response(status_code=204)


HANDLERS = (login, list_tokens, revoke_current_token, revoke_token)
