"""What every operation may ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from examples.log_lake.service import Service


async def service_of(request: Request) -> Service:
    """The service that this application runs on."""
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(service_of)]
