"""Starts the server: checks everything first, opens its ports, and runs one worker or several."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from keyrack.core.errors import Unavailable
from keyrack.master_key_file import with_master_keys
from keyrack.server import logs, shared_folder
from keyrack.server.garbage import settle
from keyrack.server.listening import BACKLOG, bound, listen, written
from keyrack.server.opening import check_store
from keyrack.settings import Listener, Settings, variable

GRACEFUL_SECONDS = 5
PROTOCOL = "keyrack.server.protocol:BoundedProtocol"
WORKER = "keyrack.server.worker:create"

log = logging.getLogger("keyrack.server")


def run(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until a signal says to stop. Raises ConfigurationError, Unavailable or Tampered before that.

    `environ` is what workers are to find in their environment, so that they read the same settings.
    """
    logs.configure()
    settings = with_master_keys(settings)
    check_store(settings)
    settings, sockets = _listen(settings)
    if settings.workers == 1:
        _serve_alone(settings, sockets)
        return
    with tempfile.TemporaryDirectory(prefix="keyrack-workers-") as folder:
        os.environ.update({**environ, **_where(settings), shared_folder.VARIABLE: folder})
        _say_where(settings)
        Multiprocess(configuration(WORKER, settings, factory=True), sockets=sockets).run()
        if not Path(folder, shared_folder.SERVED).exists():
            raise Unavailable("No worker could start; the log says why.")


def _serve_alone(settings: Settings, sockets: list[socket.socket]) -> None:
    # Imported here: whoever only supervises workers needs no framework.
    from keyrack.server.app import create_app
    from keyrack.server.opening import open_verifier

    app = create_app(settings, open_verifier(settings))
    settle()
    _say_where(settings)
    uvicorn.Server(configuration(app, settings)).run(sockets=sockets)


def _listen(settings: Settings) -> tuple[Settings, list[socket.socket]]:
    """Open the ports; returns the settings with the ports that the system chose where it was to."""
    public = listen(variable("port"), Listener(settings.host, settings.port))
    settings = replace(settings, port=bound(public).port)
    if settings.internal is None:
        return settings, [public]
    internal = listen(variable("internal"), settings.internal)
    return replace(settings, internal=bound(internal)), [public, internal]


def _where(settings: Settings) -> dict[str, str]:
    """The ports for the environment of workers, which tell the two listeners apart by them."""
    internal = {} if settings.internal is None else {variable("internal"): written(settings.internal)}
    return {variable("port"): str(settings.port), **internal}


def _say_where(settings: Settings) -> None:
    where = {"url": f"http://{written(Listener(settings.host, settings.port))}", "workers": settings.workers}
    if settings.internal is not None:
        where["internal_url"] = f"http://{written(settings.internal)}"
    log.info("listening", extra=where)


def configuration(app: object, settings: Settings, *, factory: bool = False) -> uvicorn.Config:
    """How the server is run: with these options and no others, also where it is measured."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an application or where to find it
        factory=factory,
        workers=settings.workers,
        loop="uvloop",
        http=PROTOCOL,
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
