"""What every operation may ask for: the service, who asks, and which page of a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from examples.log_lake.service import Service
from keyrack import Authority
from keyrack.guards.fastapi import CurrentKey


async def service_of(request: Request) -> Service:
    """The service that this application runs on."""
    service: Service = request.app.state.service
    return service


async def authority_of(key: CurrentKey) -> Authority:
    """The caller, as Keyrack's events name it."""
    address = None if key.address is None else str(key.address)
    return Authority.of(key.allowed, address=address, request_id=key.request_id)


Here = Annotated[Service, Depends(service_of)]
By = Annotated[Authority, Depends(authority_of)]
Cursor = Annotated[int, Query(ge=0)]
PageSize = Annotated[int, Query(alias="limit", ge=1, le=100)]
