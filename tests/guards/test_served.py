"""The guard in a real server process, met by real connections."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from patience import PATIENCE_SECONDS

KEY = "9fKq2LxT7vWm4RzB8nYc6JhD3sGp5QaE1uXo0iNt"
KEYS = json.dumps([{"name": "reader", "key": KEY, "scopes": ["logs:read"]}])


def serve(listening: socket.socket, **environment: str) -> subprocess.Popen[str]:
    """Start a server on a socket that already listens, so that nobody has to wait for it."""
    tests = str(Path(__file__).parent.parent)
    command = [sys.executable, "-m", "uvicorn", "guards.served:app", "--fd", str(listening.fileno())]
    return subprocess.Popen(
        [*command, "--app-dir", tests, "--no-proxy-headers"],
        pass_fds=[listening.fileno()],
        env={**os.environ, "GUARD_KEYS": KEYS, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened


@pytest.fixture
def port(listening: socket.socket) -> Iterator[int]:
    process = serve(listening)
    yield int(listening.getsockname()[1])
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)


def test_a_real_client_meets_the_guard(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
        assert client.get("/livez").status_code == 200
        refused = client.get("/logs/web")
        assert (refused.status_code, refused.json()["code"]) == (401, "missing_credentials")
        answer = client.get("/logs/web", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.json() == {"name": "web", "caller": "reader"}
        assert client.head("/logs/web").status_code == 401
        assert client.get("/docs", headers={"X-API-Key": KEY}).status_code == 404
    for target in ("//livez", "/livez/", "/%6civez", "/x/../livez", "/livez%00", "/livez%0A", "/LIVEZ", "/."):
        assert status(port, target) == 401


def test_a_route_without_a_row_stops_the_server(listening: socket.socket) -> None:
    process = serve(listening, FORGET_A_ROW="1")
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "these routes have none: GET /also." in said


def status(port: int, target: str) -> int:
    """The status of a request whose target no client library has tidied up."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])
