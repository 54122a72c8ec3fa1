"""OpenTelemetry: logs are taken in; metrics and traces have no place here."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from fastapi import Request
from starlette.responses import JSONResponse

from examples.log_lake.arrival import read_arrival
from examples.log_lake.columns import table_of
from examples.log_lake.names import stream_name
from examples.log_lake.operations import INGEST
from examples.log_lake.otlp import SOURCE, log_events
from examples.log_lake.problems import NotImplementedHere
from examples.log_lake.rights import permit
from examples.log_lake.routes.context import Here
from examples.log_lake.service import Service
from keyrack.guards.fastapi import CurrentKey, KeyState


async def ingest_logs(request: Request, service: Here, key: CurrentKey) -> JSONResponse:
    """Store log records, all or none. Without any there is nothing to store, and that is no error."""
    stream = stream_name(request.headers.get("x-p-stream"))
    await permit(key, f"streams/{stream}:ingest", service=INGEST)
    await _take(request, service, key, stream)
    return JSONResponse({"partialSuccess": {}})


async def ingest_metrics(request: Request, key: CurrentKey) -> NoReturn:
    """Metrics are not stored."""
    await _permit_any(request, key)
    raise NotImplementedHere("This service stores logs; it takes no metrics.")


async def ingest_traces(request: Request, key: CurrentKey) -> NoReturn:
    """Traces are not stored."""
    await _permit_any(request, key)
    raise NotImplementedHere("This service stores logs; it takes no traces.")


async def _permit_any(request: Request, key: KeyState) -> None:
    """Ask for the right to the stream that is named, or else to all: what is not done is no secret."""
    await permit(key, f"streams/{request.headers.get('x-p-stream') or '*'}:ingest", service=INGEST)


async def _take(request: Request, service: Service, key: KeyState, stream: str) -> None:
    arrival = await read_arrival(request, service, key, source=SOURCE)
    depth = service.settings.flatten_depth
    events = await asyncio.to_thread(log_events, arrival.body, arrival.added, depth=depth)
    if not events:
        return
    table = await asyncio.to_thread(table_of, events)
    async with service.quota.spend(arrival.tenant, events=len(table), size=len(arrival.body)):
        await service.ingest.store(arrival.tenant, stream, table, at=arrival.at)


HANDLERS = (ingest_logs, ingest_metrics, ingest_traces)
