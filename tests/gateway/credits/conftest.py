"""A server inside the test with a master key, for credits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from server.server_bed import House
from session_bed import M1

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
