"""A server inside the test, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from server.server_bed import House, Inside
from session_bed import M1

from keyrack import Client
from keyrack.settings import Settings


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture
def house(portal: BlockingPortal) -> Iterator[House]:
    made = House(portal, settings=Settings(master_keys=M1))
    yield made
    made.verifier.close()


@pytest.fixture
def client(house: House, portal: BlockingPortal) -> Iterator[Client]:
    """The holder of the root key."""
    with Client("http://localhost", key=house.root_key, transport=Inside(house.app, portal)) as made:
        yield made
