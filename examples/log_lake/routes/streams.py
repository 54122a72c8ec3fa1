"""Which streams there are."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse

from examples.log_lake import paths
from examples.log_lake.rights import permit
from examples.log_lake.routes.context import Here
from keyrack.guards.fastapi import CurrentKey

STREAMS = "streams/"
ACTIONS = ("ingest", "query")


async def list_streams(service: Here, key: CurrentKey) -> JSONResponse:
    """The streams of the caller's tenant that its key may write to or read."""
    held = next((scope for scope in key.scopes if scope.startswith((STREAMS, "*"))), None)
    await permit(key, held or f"{STREAMS}*:query")
    names = await asyncio.to_thread(service.storage.folders, paths.streams(key.key.tenant))
    may = [name for name in names if any(key.holds(f"{STREAMS}{name}:{action}") for action in ACTIONS)]
    return JSONResponse([{"name": name} for name in may])


HANDLERS = (list_streams,)
