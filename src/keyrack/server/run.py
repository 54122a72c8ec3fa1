"""Starts the server: checks everything first, opens its ports, and runs one worker or several."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
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
KEEP_ALIVE_SECONDS = 120
"""How long a connection stays on which nothing is asked: longer than proxies and clients keep theirs (nginx
60 s, Go 90 s), so that none of them asks on one that is just being closed."""
PROTOCOL = "keyrack.server.express:ExpressProtocol"
WORKER = "keyrack.server.worker:create"

log = logging.getLogger("keyrack.server")


def run(settings: Settings, sockets: list[socket.socket], environ: Mapping[str, str]) -> None:
    """Serve until a signal says to stop. Raises ConfigurationError, Unavailable or Tampered before that.

    Takes what `listening` gives. `environ` is what workers are to find in their environment, so that they
    read the same settings.
    """
    settings = with_master_keys(settings)
    if settings.dev:
        check_store(settings)
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


@contextmanager
def listening(settings: Settings) -> Iterator[tuple[Settings, list[socket.socket]]]:
    """Check the store, and open the ports; gives the settings with those that the system chose.

    With `dev` a store need not be there yet; whoever makes one within this knows that nobody else answers
    on its ports. Raises ConfigurationError, Unavailable or Tampered.
    """
    logs.configure()
    if not settings.dev:
        check_store(with_master_keys(settings))
    with ExitStack() as ports:
        public = ports.enter_context(_opened("port", Listener(settings.host, settings.port)))
        settings = replace(settings, port=bound(public).port)
        if settings.internal is None:
            yield settings, [public]
            return
        internal = ports.enter_context(_opened("internal", settings.internal))
        yield replace(settings, internal=bound(internal)), [public, internal]


def _opened(field: str, listener: Listener) -> closing[socket.socket]:
    return closing(listen(variable(field), listener))


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
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
