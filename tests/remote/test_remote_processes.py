"""A service and a real server: revocation, waiting for it, losing the server, and finding it again."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from guards.bed import call_asgi
from patience import PATIENCE_SECONDS, eventually, seconds_until, soon
from server.server_bed import Founded, make_store
from server.server_process import Running, serving
from servers.ports import free_port

from keyrack import Access, Client, Verifier
from keyrack.guards import Row
from keyrack.guards.asgi import Guard

MAX_STALE = 3.0
READY_SECONDS = 2.0
MINUTE = {"name": "minute", "limit": 3, "window_seconds": 60}
ROWS = [Row("GET", "/logs", Access(("logs:read",)))]


@dataclass(frozen=True)
class Service:
    """A service with a guard that stands on the server at `url`."""

    verifier: Verifier
    guard: Guard

    def status(self, text: str) -> int:
        """What the guard answers to a request with this key."""
        return call_asgi(self.guard, "GET", "/logs", [("x-api-key", text)]).status


async def application(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"logs"})


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make_store(tmp_path_factory.mktemp("remote"), max_stale=MAX_STALE)


@pytest.fixture(scope="module")
def server(founded: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(founded.settings, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def admin(server: Running, founded: Founded) -> Iterator[Client]:
    with Client(server.url, key=founded.root, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
def service(server: Running, admin: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    key = admin.mint("service", scopes=["keys:verify", "tenants:verify"]).secret
    monkeypatch.setenv("KEYRACK_KEY", str(key))
    with Verifier.open(server.url) as verifier:
        yield Service(verifier, Guard(application, verifier, ROWS))


def decided(service: Service, text: str) -> int:
    """The status, once the service has heard of its server, which a busy machine may keep it from."""
    status: int = eventually(lambda: (told := service.status(text)) != 503 and told)
    return status


def minted(admin: Client, **more: object) -> tuple[str, str]:
    made = admin.mint("caller", scopes=["logs:read"], **more)
    return made.key.id, str(made.secret)


def test_a_revocation_is_obeyed_within_a_second(service: Service, admin: Client) -> None:
    def obeyed_after() -> float:
        key_id, text = minted(admin)
        eventually(lambda: service.status(text) == 200)
        begun = time.monotonic()
        admin.revoke(key_id)
        eventually(lambda: service.status(text) == 401)
        return time.monotonic() - begun

    soon(obeyed_after, within=1.0)


def test_a_revocation_that_waits_is_obeyed_when_it_is_answered(service: Service, admin: Client) -> None:
    def answered_after() -> float:
        key_id, text = minted(admin)
        eventually(lambda: service.status(text) == 200)
        begun = time.monotonic()
        admin.revoke(key_id, wait=True)
        took = time.monotonic() - begun
        # Never 200; for a moment it may not have heard of its server.
        assert service.status(text) in (401, 503)
        eventually(lambda: service.status(text) == 401)
        return took

    for _ in range(5):
        soon(answered_after, within=MAX_STALE)


def test_use_and_limits_are_counted_at_the_server(service: Service, admin: Client) -> None:
    free, limited = minted(admin), minted(admin, limits=[MINUTE])
    for text, expected in ((free[1], [200] * 5), (limited[1], [200, 200, 200, 429])):
        for status in expected:
            assert decided(service, text) == status
    eventually(lambda: [admin.get(one[0]).versions[0].uses for one in (free, limited)] == [5, 3])


def test_without_its_server_it_goes_on_for_max_stale_and_is_ready_soon_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    founded = make_store(tmp_path, max_stale=MAX_STALE)
    monkeypatch.setenv("KEYRACK_KEY", founded.root)
    settings = {**founded.settings, "KEYRACK_PORT": str(free_port())}
    with serving(settings, tmp_path) as first, Client(first.url, key=founded.root) as admin:
        _, text = minted(admin)
        verifier = Verifier.open(first.url)
        service = Service(verifier, Guard(application, verifier, ROWS))
        assert decided(service, text) == 200

    def goes_on_for() -> float:
        """The seconds from the server's end to that of its decisions; infinite if there were none."""
        with serving(settings, tmp_path) as running:
            eventually(lambda: service.status(text) == 200)
            running.signal(signal.SIGKILL)
            running.wait()
        went_on = service.status(text) == 200
        took = seconds_until(lambda: service.status(text) == 503)
        assert service.status("not a key") in (401, 503)
        return took if went_on else math.inf

    def ready_after() -> float:
        soon(goes_on_for, within=MAX_STALE + 2)
        with serving(settings, tmp_path):
            return seconds_until(lambda: service.status(text) == 200)

    with verifier:
        soon(ready_after, within=READY_SECONDS)


def test_the_server_logs_no_text_that_it_is_asked_about(
    service: Service, server: Running, admin: Client
) -> None:
    _, text = minted(admin)
    assert decided(service, text) == 200
    service.status(text[:-7] + "0000000")
    assert text[16:48] not in server.output
