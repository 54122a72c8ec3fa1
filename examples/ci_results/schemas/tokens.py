"""What the token operations take and answer (CI-32 to CI-35)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr

from examples.ci_results.schemas.fields import (
    NO_ZERO,
    Flag,
    Given,
    Id,
    Instant,
    OffsetQuery,
    Pagination,
    Taken,
    number,
)
from examples.ci_results.services.grants import DEFAULT_SCOPES, SCOPES
from examples.ci_results.services.tokens import Issued, Token


def _known(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError(f"Give one of: {', '.join(SCOPES)}.")
    return scope


Scope = Annotated[StrictStr, AfterValidator(_known), Field(json_schema_extra={"enum": list(SCOPES)})]


def _distinct(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) != len(scopes):
        raise ValueError("Name each scope once.")
    return scopes


Scopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=len(SCOPES), json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]


class LoginBody(Taken):
    """Who asks for a token, and for what."""

    email: Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=NO_ZERO)]
    password: Annotated[
        StrictStr, Field(min_length=8, max_length=128, json_schema_extra={"format": "password"})
    ]
    token_name: Annotated[StrictStr, Field(min_length=1, max_length=50, pattern="^[A-Za-z0-9_-]+$")]
    expires_in_days: Annotated[int, Field(ge=1, le=30), BeforeValidator(number)] = 7
    scopes: Annotated[Scopes, Field(default_factory=lambda: list(DEFAULT_SCOPES))]


class TokensQuery(OffsetQuery):
    """Whose tokens: one's own, or, for an admin, everybody's."""

    all: Flag = False


class IssuedView(Given):
    """The only answer in which a token's text is seen."""

    token: str
    token_type: Literal["bearer"] = "bearer"
    token_name: str
    scopes: list[Scope]
    expires_at: Instant


class TokenView(Given):
    """A token without its text."""

    id: Id
    user_id: Id
    token_name: str
    token_prefix: Annotated[str, Field(max_length=20)]
    scopes: list[Scope]
    created_at: Instant
    expires_at: Instant
    is_revoked: StrictBool
    revoked_at: Instant | None


class TokensView(Given):
    """A page of tokens."""

    data: list[TokenView]
    pagination: Pagination


def issued_view(issued: Issued) -> IssuedView:
    """A new token, with its text."""
    return IssuedView(
        token=issued.text, token_name=issued.name, scopes=list(issued.scopes), expires_at=issued.expires_at
    )


def token_view(token: Token) -> TokenView:
    """A token as a list shows it."""
    link, key = token
    return TokenView(
        id=link.id,
        user_id=link.user_id,
        token_name=link.token_name,
        token_prefix=key.hint,
        scopes=list(key.scopes),
        created_at=key.created_at,
        expires_at=token.expires_at,
        is_revoked=key.revoked_at is not None,
        revoked_at=key.revoked_at,
    )
