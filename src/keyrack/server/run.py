"""Starts the server: checks everything first, opens its ports, and runs one worker or several."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import time
from collections.abc import Mapping

import uvicorn
from uvicorn.supervisors import Multiprocess

from keyrack.core.errors import ConfigurationError
from keyrack.server import logs
from keyrack.server.app import create_app
from keyrack.server.metrics import MULTIPROCESS
from keyrack.server.opening import check_store, open_verifier
from keyrack.settings import Listener, Settings

BACKLOG = 2048
GRACEFUL_SECONDS = 5
BIND_SECONDS = 5.0
"""How long to wait for a port that a process which was just killed still holds."""


def run(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until a signal says to stop. Raises ConfigurationError, Unavailable or Tampered before that.

    `environ` is what workers are to find in their environment, so that they read the same settings.
    """
    logs.configure()
    check_store(settings)
    sockets = [_bind("KEYRACK_PORT", Listener(settings.host, settings.port))]
    if settings.internal is not None:
        sockets.append(_bind("KEYRACK_INTERNAL", settings.internal))
    if settings.workers == 1:
        app = create_app(settings, open_verifier(settings))
        uvicorn.Server(_config(app, settings)).run(sockets=sockets)
        return
    with tempfile.TemporaryDirectory(prefix="keyrack-metrics-") as folder:
        os.environ.update({**environ, MULTIPROCESS: folder})
        config = _config("keyrack.server.worker:create", settings, factory=True)
        Multiprocess(config, sockets=sockets).run()


def _config(app: object, settings: Settings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an application or where to find it
        factory=factory,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )


def _bind(setting: str, listener: Listener) -> socket.socket:
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        try:
            return _listening(listener)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise ConfigurationError(
                    setting, f"cannot be listened on: {os.strerror(error.errno or 0)}."
                ) from None
        time.sleep(0.1)


def _listening(listener: Listener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(listener)
        bound.set_inheritable(True)
    except BaseException:
        bound.close()
        raise
    return bound
