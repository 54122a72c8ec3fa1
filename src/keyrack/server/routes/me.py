"""`/v1/me`: the holder of a key looks at it, or gives it up."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from keyrack.server.bodies import NoBody
from keyrack.server.dependencies import By, Engine
from keyrack.server.table import uncharged
from keyrack.server.views import KeyView

ANY = uncharged()
"""Any valid key, whatever its scopes."""
router = APIRouter(prefix="/v1/me", tags=["me"])


@router.get("", response_model=KeyView, summary="Look at the key you call with")
def me(request: Request, engine: Engine) -> dict[str, Any]:
    """Any valid key may."""
    return engine.present([request.state.key.require(ANY).key])[0]


@router.post("/revoke", response_model=KeyView, summary="Give your key up")
def give_up(
    request: Request, by: By, engine: Engine, _: Annotated[NoBody | None, Body()] = None
) -> dict[str, Any]:
    """Final. With a secret that is being rotated out, it ends that secret alone."""
    request.state.key.require(ANY)
    return engine.present_change(engine.issuer.give_up(by=by))
