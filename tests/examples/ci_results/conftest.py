"""A fresh results service for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ci_bed import Ci, Clock, OpenCi, environment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_ci(tmp_path: Path, clock: Clock) -> Iterator[OpenCi]:
    """Opens services on the same folder, each with these variables."""
    with ExitStack() as opened:

        def open_one(**changed: str) -> Ci:
            return opened.enter_context(Ci(environment(tmp_path, **changed), clock))

        yield open_one


@pytest.fixture
def ci(open_ci: OpenCi) -> Ci:
    return open_ci()
