"""A bed for each test, and both protocols for the tests of what they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guards.bed import ASGI, WSGI, Bed, Protocols


@pytest.fixture
def bed() -> Iterator[Bed]:
    opened = Bed()
    yield opened
    opened.verifier.close()


@pytest.fixture(scope="module")
def shared_bed() -> Iterator[Bed]:
    """One for all examples of a property."""
    opened = Bed()
    yield opened
    opened.verifier.close()


@pytest.fixture(params=[ASGI, WSGI], ids=lambda protocol: protocol.name)
def protocol(request: pytest.FixtureRequest) -> Protocols:
    chosen: Protocols = request.param
    return chosen
