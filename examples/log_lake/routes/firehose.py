"""Taking in what Firehose delivers: each request is one object, so that a repeat stores nothing (LL-28)."""

from __future__ import annotations

import asyncio

import pyarrow as pa
from fastapi import Request, Response

from examples.log_lake.arrival import Arrival, read_arrival
from examples.log_lake.columns import table_of
from examples.log_lake.deliveries import AlreadyStored
from examples.log_lake.firehose import SOURCE, Delivery, delivered_events, read_delivery
from examples.log_lake.operations import INGEST
from examples.log_lake.rights import permit
from examples.log_lake.routes.context import Here
from examples.log_lake.service import Service
from keyrack import Unavailable
from keyrack.guards.fastapi import CurrentKey, KeyState

ANSWER_SECONDS = 50
"""An answer comes within 60 s; Firehose itself waits for 3 minutes."""


async def ingest_firehose(request: Request, service: Here, key: CurrentKey) -> Response:
    """Store the records of a request, all or none, and once however often it comes."""
    delivery = read_delivery(request.headers)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await permit(key, f"streams/{delivery.stream}:ingest", service=INGEST)
            await _take(request, service, key, delivery)
    except TimeoutError:
        raise Unavailable("The request could not be stored in time.") from None
    return Response()


async def _take(request: Request, service: Service, key: KeyState, delivery: Delivery) -> None:
    arrival = await read_arrival(request, service, key, source=SOURCE)
    table = await asyncio.to_thread(_table, arrival, delivery, service.settings.flatten_depth)
    tenant, deliveries = arrival.tenant, service.deliveries
    if await asyncio.to_thread(deliveries.is_stored, tenant, delivery):
        return
    try:
        async with service.quota.spend(tenant, events=len(table), size=len(arrival.body)):
            await asyncio.to_thread(deliveries.store, tenant, delivery, table)
    except AlreadyStored:
        return


def _table(arrival: Arrival, delivery: Delivery, depth: int) -> pa.Table:
    return table_of(delivered_events(arrival.body, delivery, arrival.added, depth=depth))


HANDLERS = (ingest_firehose,)
