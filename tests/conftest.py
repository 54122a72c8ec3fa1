"""How properties are searched, and the search of everything logged for secrets."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest
from engine_bed import FOREIGN, POLICY, STATIC, STORES, Bed, opened
from hypothesis import HealthCheck, settings
from leak_watch import LeakWatch

from keyrack import Policy
from keyrack.core import credential

pytest_plugins = ["servers.postgresql", "servers.redis"]
"""Fixtures that any test may ask for: real servers."""

settings.register_profile(
    "default",
    deadline=None,
    max_examples=80,
    print_blob=True,
    # Machines that run this are small and busy; how long drawing takes says nothing about the code.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    watch = LeakWatch()
    config.stash[WATCH] = watch
    credential.write = watch.write


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where a machine decides, a test that could not run is one that failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


UNTRACED = (
    "admin/",
    "bench/",
    "cli/",
    "client/",
    "crash/",
    "docs/",
    "examples/ai_gateway/",
    "examples/ci_results/",
    "examples/log_lake/",
    "gateway/admin/",
    "gateway/data_plane/",
    "proxy/",
    "races/",
    "server/test_connections.py",
    "server/test_express.py",
    "server/test_server_bad_input.py",
    "server/test_server_contract.py",
    "server/test_server_keys.py",
    "server/test_slow_requests.py",
    "stores/",
    "test_architecture.py",
    "test_spec_coverage.py",
    "timing/",
)
"""Where coverage is not measured: what these reach others reach as well, and tracing doubles their time."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    tracing, tracing_threads = sys.gettrace(), threading.gettrace()
    if tracing is None or not item.nodeid.removeprefix("tests/").startswith(UNTRACED):
        return (yield)
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracing)
        threading.settrace(tracing_threads)


WATCH = pytest.StashKey[LeakWatch]()


@pytest.fixture(scope="session", autouse=True)
def nothing_logged_shows_a_secret(request: pytest.FixtureRequest) -> Iterator[None]:
    """At the end of the run: no log record of any test showed a secret that any test had made."""
    yield
    leaks = request.config.stash[WATCH].leaks
    assert leaks == [], "secrets were logged"


@pytest.fixture(autouse=True)
def leak_watch(request: pytest.FixtureRequest) -> LeakWatch:
    """The watch over everything logged, in force during each test."""
    watch = request.config.stash[WATCH]
    watch.install()
    return watch


@pytest.fixture(params=STORES)
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """A whole engine, once on each store."""
    with opened(request.param) as one:
        yield one


@pytest.fixture
def memory() -> Iterator[Bed]:
    """A whole engine in memory."""
    with opened() as one:
        yield one


@pytest.fixture
def static(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    """A store in memory with a foreign key in it, and minted ones beside it."""
    monkeypatch.setenv("BOT_KEY", FOREIGN)
    with opened(policy=Policy(presets=POLICY.presets), static=STATIC) as one:
        yield one
