"""Servers to be measured: each a process on a core of its own, run with the options of `keyrack serve`."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import uvicorn

from bench.load import HOST
from keyrack.server.listening import BACKLOG
from keyrack.server.run import configuration
from keyrack.server.wire import App
from keyrack.settings import Settings

SERVER_CORE, CLIENT_CORE = 0, 1
TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds that the kernel counts in."""

MakeApp = Callable[..., App]


class Server(NamedTuple):
    """A running server."""

    port: int
    pid: int

    def busy(self) -> float:
        """Seconds that its core has worked for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK


@contextmanager
def serving(make: MakeApp, *arguments: object) -> Iterator[Server]:
    """A server of the application that `make` makes, called in the new process with these arguments."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Server(ours.recv(), process.pid or 0)
    finally:
        process.terminate()
        process.join()


def pin(core: int) -> None:
    """Keep this process to one core, where there are several."""
    if core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


def _serve(told: Connection, make: MakeApp, arguments: Sequence[object]) -> None:
    pin(SERVER_CORE)
    listening = socket.create_server((HOST, 0), backlog=BACKLOG)
    app = make(*arguments)
    told.send(listening.getsockname()[1])
    uvicorn.Server(configuration(app, Settings())).run(sockets=[listening])
