"""How the service is: for those who may know, and for the process supervisor, who learns nothing."""

from __future__ import annotations

from fastapi import Response
from starlette.responses import JSONResponse

from examples.log_lake.health import check
from examples.log_lake.routes.context import Here


def get_health(service: Here) -> JSONResponse:
    """200 while the service can work, 503 when a part of it cannot; the body says which and why."""
    health = check(service)
    return JSONResponse(health.document(), 200 if health.ok else 503)


async def livez() -> Response:
    """Say that the process runs, and nothing else."""
    return Response()


HANDLERS = (get_health, livez)
