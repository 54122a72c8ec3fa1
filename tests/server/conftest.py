"""Servers for the tests: a real process for each run, and one inside the test for speed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from server_bed import Caller, Founded, House, make_store
from server_line import Connect, connections
from server_process import Running, serving


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make_store(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def server(founded: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real process, shared by all tests that leave it as it was."""
    settings = {**founded.settings, "KEYRACK_INTERNAL": "127.0.0.1:0"}
    with serving(settings, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
def root(server: Running, founded: Founded) -> Iterator[Caller]:
    """The holder of the root key."""
    with server.client(founded.root) as client:
        yield Caller(client)


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture
def house(portal: BlockingPortal) -> Iterator[House]:
    """A server inside the test, with nothing in it but its root key."""
    made = House(portal)
    yield made
    made.verifier.close()


@pytest.fixture
def connect(portal: BlockingPortal) -> Iterator[Connect]:
    """Opens connections to applications of this process."""
    with connections(portal) as connecting:
        yield connecting
