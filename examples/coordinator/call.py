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
    """The call that the guard let through; nothing is known of who calls but what the guard says."""
    state = request.state.key
    return Call(
        caller=state.key.owner or state.key.name,
        key_id=state.key.id,
        operation=request.scope["route"].name,
        request_id=state.request_id,
        client_ip=None if state.address is None else str(state.address),
    )
