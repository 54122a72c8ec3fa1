"""A server inside the test, and remote stores on it that count their calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from remote_bed import Remote, RemoteBed


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture
def bed(portal: BlockingPortal) -> Iterator[RemoteBed]:
    made = RemoteBed(portal)
    yield made
    made.close()


@pytest.fixture
def remote(bed: RemoteBed) -> Remote:
    """A remote store that has heard of the server, and follows when it is told to."""
    return bed.remote()
