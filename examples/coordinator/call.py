"""Who calls what: the part of a request that audit rows and log lines name. Never the key."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a proved caller."""

    caller: str
    key_id: str
    operation: str
    request_id: str
    client_ip: str | None


def call_of(request: Request) -> Call:
    """The call that the guard let through."""
    key = request.state.key.key
    return Call(
        caller=key.owner or key.name,
        key_id=key.id,
        operation=request.scope["route"].name,
        request_id=request_id(request),
        client_ip=request.client.host if request.client else None,
    )


def request_id(request: Request) -> str:
    """The id that the guard gave this request."""
    given: str = request.state.request_id
    return given
