"""`/v1/sessions`: a key is exchanged for a short-lived token, whose public keys everybody may read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from keyrack.core.records import write_time
from keyrack.server.bodies import SessionBody
from keyrack.server.dependencies import Engine
from keyrack.server.table import uncharged
from keyrack.server.views import JwksView, SessionView
from keyrack.sessions.exchange import SessionWish

ANY = uncharged()
"""Any valid key, whatever its scopes."""
KEPT_SECONDS = 300
"""For how long others may keep the public keys: far less than an old one stays published."""
router = APIRouter(tags=["sessions"])


@router.post(
    "/v1/sessions", status_code=201, response_model=SessionView, summary="Exchange your key for a session"
)
def exchange(
    request: Request,
    response: Response,
    engine: Engine,
    wish: Annotated[SessionBody | None, Body()] = None,
) -> dict[str, Any]:
    """A signed token that can do no more than the key it was made from, for 15 minutes at most."""
    allowed = request.state.key.require(ANY)
    wish = wish or SessionBody()
    exchanged = engine.sessions.exchange(allowed, SessionWish(**wish.model_dump()))
    response.headers["Cache-Control"] = "no-store"
    session = exchanged.session
    return {
        "token": exchanged.token,
        "token_type": "Bearer",
        "expires_at": write_time(exchanged.expires_at),
        "key_id": session.key_id,
        "version": session.version,
        "tenant": session.tenant,
        "scopes": session.scopes,
        "audience": session.audience,
    }


@router.get(
    "/.well-known/jwks.json",
    response_model=JwksView,
    responses={503: {"description": "They are not known at the moment"}},
    summary="The public keys of sessions",
)
def jwks(response: Response, engine: Engine) -> dict[str, Any]:
    """In the form of RFC 7517; a key that was replaced stays until its sessions have ended."""
    response.headers["Cache-Control"] = f"max-age={KEPT_SECONDS}"
    return engine.sessions.jwks()
