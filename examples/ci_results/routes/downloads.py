"""Files on their way out, and the liveness of the process. No part of the 29 operations."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from examples.ci_results.routes.dependencies import Services
from examples.ci_results.schemas.fields import Id

ArtifactId = Annotated[Id, Path(description="The artifact's id.")]


def download(artifact_id: ArtifactId, service: Services) -> Response:
    """The content of a file, or the way to it where it is kept elsewhere."""
    found = service.artifacts.download(artifact_id)
    if found.signed_url is not None:
        return RedirectResponse(found.signed_url, 303)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.filename, safe='')}",
        "Content-Length": str(found.size),
    }
    return StreamingResponse(found.content or iter(()), 200, headers, "application/octet-stream")


def livez() -> Response:
    """That this process answers; nothing is touched for it."""
    return Response(status_code=200)


HANDLERS = (download, livez)
