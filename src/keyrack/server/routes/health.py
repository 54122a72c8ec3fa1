"""`/livez`, `/readyz` and `/metrics`: whether the process lives, can decide, and what it counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from keyrack.server.metrics import CONTENT_TYPE
from keyrack.server.readiness import readiness
from keyrack.server.views import ReadinessView

router = APIRouter(tags=["health"])


@router.get("/livez", response_class=Response, summary="Whether the process lives")
async def livez() -> Response:
    """Carries nothing and reads nothing."""
    return Response(status_code=200)


@router.get(
    "/readyz",
    response_model=ReadinessView,
    responses={
        503: {"model": ReadinessView, "description": "They cannot; on the internal listener with why"}
    },
    summary="Whether decisions can be made",
)
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """503 while they cannot, with what is wrong."""
    state = readiness(request.app.state.verifier)
    response.status_code = 200 if state["ready"] else 503
    return state


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Metrics in Prometheus' format",
)
def metrics(request: Request) -> Response:
    """Summed over the workers."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)
