"""A fresh coordinator for each test, and the search for secrets where none may be (CO-24)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from coordinator_bed import Clock, Coordinator, Secrets

from examples.coordinator.settings import VARIABLES

Open = Callable[..., Coordinator]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def used() -> Secrets:
    return Secrets()


@pytest.fixture(autouse=True)
def no_secret_comes_back(tmp_path: Path, used: Secrets, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each test: no secret that it used stands in a log line, an answer or a file that was written."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):  # the test's own client, which tells every URL
        logging.getLogger(name).setLevel(logging.WARNING)
    yield
    assert used.shown(caplog.get_records("call"), tmp_path) == []


@pytest.fixture
def environment(tmp_path: Path, used: Secrets) -> Mapping[str, str]:
    return used.environment() | {"COORDINATOR_DATABASE_URL": f"sqlite:///{tmp_path / 'coordinator.db'}"}


@pytest.fixture
def open_coordinator(
    environment: Mapping[str, str], clock: Clock, used: Secrets, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Opens coordinators on the same database; a variable given as None is unset."""
    with ExitStack() as opened:

        def open_one(**changed: str | None) -> Coordinator:
            for name in VARIABLES:
                monkeypatch.delenv(name, raising=False)
            for name, value in {**environment, **changed}.items():
                if value is not None:
                    monkeypatch.setenv(name, value)
            return opened.enter_context(Coordinator(clock, used))

        yield open_one


@pytest.fixture
def coordinator(open_coordinator: Open) -> Coordinator:
    return open_coordinator()
