"""A request that brings events, once its rights are checked: its body, and what it adds to each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request

from examples.log_lake.envelope import added_fields
from examples.log_lake.payload import read_body
from examples.log_lake.service import Service
from keyrack.guards.fastapi import KeyState


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came in."""

    at: datetime
    body: bytes
    added: Mapping[str, Any]
    tenant: str


async def read_arrival(request: Request, service: Service, key: KeyState, *, source: str) -> Arrival:
    """Read a request whose events are of this source. Raises what reading its body raises."""
    body = await read_body(request, most=service.settings.max_body)
    at = service.clock()
    client_ip = None if key.address is None else str(key.address)
    added = added_fields(request.headers, at=at, client_ip=client_ip, source=source)
    return Arrival(at, body, added, key.key.tenant)
