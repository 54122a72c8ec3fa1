"""A gateway on a port, at once, and those that are made with options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from gateway_bed import GatewayBed, Serve, Served, serving


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """The loop of gateways and upstreams: of the kind that the server runs in."""
    with start_blocking_portal("asyncio", {"use_uvloop": True}) as opened:
        yield opened


@pytest.fixture
def serve(portal: BlockingPortal) -> Iterator[Serve]:
    """Makes gateways with options of their own."""
    with ExitStack() as stack:

        def served(**options: Any) -> Served:
            return stack.enter_context(serving(GatewayBed(portal, **options)))

        yield served


@pytest.fixture
def gateway(serve: Serve) -> Served:
    """A gateway as it comes."""
    return serve()
