"""A service and a real server: revocation, waiting for it, losing the server, and finding it again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from guards.bed import call_asgi
from patience import PATIENCE_SECONDS, eventually
from server.server_bed import Founded, make_store
from server.server_process import Running, serving

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
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"logs"})  # type: ignore[operator]


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


def minted(admin: Client, **more: object) -> tuple[str, str]:
    made = admin.mint("caller", scopes=["logs:read"], **more)
    return made.key.id, str(made.secret)


def test_a_revocation_is_obeyed_within_a_second(service: Service, admin: Client) -> None:
    key_id, text = minted(admin)
    assert service.status(text) == 200
    begun = time.monotonic()
    admin.revoke(key_id)
    eventually(lambda: service.status(text) == 401)
    assert time.monotonic() - begun < 1.0


def test_a_revocation_that_waits_is_obeyed_when_it_is_answered(service: Service, admin: Client) -> None:
    for _ in range(5):
        key_id, text = minted(admin)
        assert service.status(text) == 200
        begun = time.monotonic()
        admin.revoke(key_id, wait=True)
        assert service.status(text) == 401
        assert time.monotonic() - begun < MAX_STALE


def test_use_and_limits_are_counted_at_the_server(service: Service, admin: Client) -> None:
    free, limited = minted(admin), minted(admin, limits=[MINUTE])
    assert [service.status(free[1]) for _ in range(5)] == [200] * 5
    assert [service.status(limited[1]) for _ in range(4)] == [200, 200, 200, 429]
    eventually(lambda: [admin.get(one[0]).versions[0].uses for one in (free, limited)] == [5, 3])


def test_without_its_server_it_goes_on_for_max_stale_and_is_ready_soon_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    founded = make_store(tmp_path, max_stale=MAX_STALE)
    monkeypatch.setenv("KEYRACK_KEY", founded.root)
    with serving(founded.settings, tmp_path) as first:
        port = str(urlsplit(first.url).port)
        with Client(first.url, key=founded.root) as admin:
            _, text = minted(admin)
        verifier = Verifier.open(first.url)
        service = Service(verifier, Guard(application, verifier, ROWS))
        assert service.status(text) == 200
        first.signal(signal.SIGKILL)
        first.wait()
    lost = time.monotonic()
    with verifier:
        assert service.status(text) == 200
        eventually(lambda: service.status(text) == 503)
        assert time.monotonic() - lost < MAX_STALE + 2
        assert service.status("not a key") in (401, 503)
        with serving({**founded.settings, "KEYRACK_PORT": port}, tmp_path):
            back = time.monotonic()
            eventually(lambda: service.status(text) == 200)
            assert time.monotonic() - back < READY_SECONDS


def test_the_server_logs_no_text_that_it_is_asked_about(
    service: Service, server: Running, admin: Client
) -> None:
    _, text = minted(admin)
    assert service.status(text) == 200
    service.status(text[:-7] + "0000000")
    assert text[16:48] not in server.output
