"""Real proxies under the configurations that are shipped, their addresses changed; nginx has a module."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from guards.bed import Answer
from patience import PATIENCE_SECONDS, eventually
from servers.ports import free_port

from proxy import caller
from proxy.nginx import DEPLOY as NGINX_DEPLOY
from proxy.nginx import nginx

DEPLOY = NGINX_DEPLOY.parent
_SHORT = re.compile(r"((?:timeout:?|timeout: ?) ?)[12]s\b")
"""How long a proxy waits for Keyrack: nothing here is about that, and the machine may stand still."""


class Front(NamedTuple):
    """A running proxy; clients connect to `port`."""

    name: str
    port: int

    def ask(
        self,
        key: str | None = None,
        method: str = "GET",
        target: str = "/logs",
        headers: caller.Headers = (),
        *,
        body: bytes = b"",
        source: str = "127.0.0.1",
    ) -> Answer:
        """One request with this key."""
        own = [("X-API-Key", key)] if key else []
        return caller.ask(self.port, method, target, [*own, *headers], body=body, source=source)


@contextmanager
def caddy(folder: Path, *, keyrack: int, app: int, proxy_key: str) -> Iterator[Front]:
    """Caddy between these ports of this machine; it has ended when this is left."""
    port = free_port()
    texts = {name: (DEPLOY / "caddy" / name).read_text() for name in ("Caddyfile", "keyrack.caddy")}
    main = _moved(texts["Caddyfile"], {":8000": f":{port}", "127.0.0.1:9090": f"127.0.0.1:{app}"})
    # As a test leaves no traces: no admin port, and nothing kept in the home of whoever runs it.
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n" + main)
    (folder / "keyrack.caddy").write_text(_patient(texts["keyrack.caddy"]))
    surroundings = {
        "KEYRACK_INTERNAL": f"127.0.0.1:{keyrack}",
        "PROXY_KEY": proxy_key,
        "HOME": str(folder),
    }
    with _running(["caddyserver", "run", "--config", "Caddyfile"], folder, surroundings, port=port):
        yield Front("caddy", port)


@contextmanager
def traefik(folder: Path, *, keyrack: int, app: int, proxy_key: str) -> Iterator[Front]:
    """Traefik, which is known by its place and not by the key."""
    port = free_port()
    static = (DEPLOY / "traefik" / "traefik.yml").read_text()
    dynamic = (DEPLOY / "traefik" / "keyrack.yml").read_text()
    (folder / "traefik.yml").write_text(_moved(static, {":8000": f":{port}"}))
    (folder / "keyrack.yml").write_text(
        _moved(dynamic, {"127.0.0.1:8081": f"127.0.0.1:{keyrack}", "127.0.0.1:9090": f"127.0.0.1:{app}"})
    )
    with _running(["traefik", "--configFile=traefik.yml"], folder, {"HOME": str(folder)}, port=port):
        front = Front("traefik", port)
        # It accepts connections before it has read its routes.
        eventually(lambda: front.ask().body != b"404 page not found\n")
        yield front


@contextmanager
def envoy(folder: Path, *, keyrack: int, app: int, proxy_key: str) -> Iterator[Front]:
    """Envoy with one thread."""
    port = free_port()
    ports = {"8000": port, "8081": keyrack, "9090": app}
    moved = {f"port_value: {shipped}": f"port_value: {ours}" for shipped, ours in ports.items()}
    (folder / "envoy.yaml").write_text(_moved(_patient((DEPLOY / "envoy/envoy.yaml").read_text()), moved))
    command = ["envoy", "-c", "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]
    with _running(command, folder, {"PROXY_KEY": proxy_key}, port=port):
        yield Front("envoy", port)


@contextmanager
def behind_nginx(folder: Path, *, keyrack: int, app: int, proxy_key: str) -> Iterator[Front]:
    """nginx, in the same form."""
    with nginx(folder, keyrack=keyrack, app=app, proxy_key=proxy_key) as running:
        yield Front("nginx", running.port)


Start = Callable[..., AbstractContextManager[Front]]
FRONTS: Mapping[str, Start] = {"nginx": behind_nginx, "caddy": caddy, "traefik": traefik, "envoy": envoy}


def _moved(text: str, changes: Mapping[str, str]) -> str:
    for shipped, ours in changes.items():
        assert shipped in text
        text = text.replace(shipped, ours)
    return text


def _patient(text: str) -> str:
    assert _SHORT.search(text)
    return _SHORT.sub(r"\g<1>60s", text)


@contextmanager
def _running(
    command: list[str], folder: Path, surroundings: Mapping[str, str], *, port: int
) -> Iterator[None]:
    binary = Path(sys.executable).with_name(command[0])
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, *command[1:]],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", **surroundings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: _accepts(process, log, port))
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _accepts(process: subprocess.Popen[bytes], log: Path, port: int) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
