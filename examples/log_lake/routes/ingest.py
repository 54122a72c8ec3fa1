"""Taking in events: rights first, then the body, then the quota, and success once they are stored."""

from __future__ import annotations

import asyncio

import pyarrow as pa
from fastapi import Request, Response

from examples.log_lake import paths
from examples.log_lake.arrival import Arrival, read_arrival
from examples.log_lake.columns import table_of
from examples.log_lake.envelope import log_source
from examples.log_lake.events import prepared
from examples.log_lake.names import stream_name
from examples.log_lake.operations import INGEST
from examples.log_lake.problems import NotFound
from examples.log_lake.rights import permit
from examples.log_lake.routes.context import Here
from examples.log_lake.service import Service
from keyrack.guards.fastapi import CurrentKey, KeyState


async def ingest(request: Request, service: Here, key: CurrentKey) -> Response:
    """Store events in the stream that a header names; one that is not there comes to be with them."""
    stream = stream_name(request.headers.get("x-p-stream"))
    await permit(key, f"streams/{stream}:ingest", service=INGEST)
    return await _take(request, service, key, stream)


async def ingest_stream(request: Request, service: Here, key: CurrentKey, stream: str) -> Response:
    """Store events in a stream that is there."""
    stream_name(stream)
    await permit(key, f"streams/{stream}:ingest", service=INGEST)
    if not await asyncio.to_thread(service.storage.has_any, paths.stream(key.key.tenant, stream)):
        raise NotFound("There is no such stream.")
    return await _take(request, service, key, stream)


async def _take(request: Request, service: Service, key: KeyState, stream: str) -> Response:
    arrival = await read_arrival(request, service, key, source=log_source(request.headers))
    table = await asyncio.to_thread(_table, arrival, service.settings.flatten_depth)
    async with service.quota.spend(arrival.tenant, events=len(table), size=len(arrival.body)):
        await service.ingest.store(arrival.tenant, stream, table, at=arrival.at)
    return Response()


def _table(arrival: Arrival, depth: int) -> pa.Table:
    return table_of(prepared(arrival.body, arrival.added, depth=depth))


HANDLERS = (ingest, ingest_stream)
