"""Connections to an application by the server's own protocol, which is handed its reads one by one."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from anyio.from_thread import BlockingPortal
from patience import PATIENCE_SECONDS
from server_wire import Reply
from uvicorn.server import ServerState

from keyrack.server.express import ExpressProtocol
from keyrack.server.run import configuration
from keyrack.settings import Settings


class Line:
    """One connection to an application, by the protocol of the server; what it reads is handed to it."""

    def __init__(self, portal: BlockingPortal, protocol: ExpressProtocol, client: socket.socket):
        self._portal = portal
        self.protocol = protocol
        self.client = client
        self._received = b""

    def read(self, *parts: bytes) -> None:
        """Let the server read these parts, each in a read of its own."""
        for part in parts:
            self._portal.call(self.protocol.data_received, part)

    def write(self, data: bytes) -> None:
        """Send this over the socket, while what comes back is read."""
        threading.Thread(target=self._send, args=(data,), daemon=True).start()

    def _send(self, data: bytes) -> None:
        with suppress(OSError):
            self.client.sendall(data)

    def now(self) -> float:
        """The time of its event loop."""
        return self.protocol.loop.time()

    def patience_ends(self) -> float:
        """When, by that time, what is unfinished will be waited for no more."""
        timer = self.protocol._patience
        return 0.0 if timer is None else timer.when()

    def end_tasks(self) -> None:
        """Cancel them, as a server does that waits no longer."""
        self._portal.call(lambda: [task.cancel() for task in self.protocol.tasks])

    def reply(self, *, method: str = "GET") -> Reply:
        """The next answer."""
        while b"\r\n\r\n" not in self._received:
            self._received += self._more()
        start, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = start.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if method == "HEAD" else int(headers["content-length"])
        while len(self._received) < length:
            self._received += self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Reply(int(first.split(" ")[1]), headers, body)

    def _more(self) -> bytes:
        data = self.client.recv(1 << 16)
        assert data, "the server hung up"
        return data

    def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        received, self._received = self._received, b""
        while data := self.client.recv(1 << 16):
            received += data
        return received

    @property
    def is_gone(self) -> bool:
        """Whether the server let go of it."""
        return self.protocol not in self.protocol.connections

    @property
    def went_uvicorns_way(self) -> bool:
        """Whether any request so far became a task of its own."""
        return self.protocol.cycle is not None


Connect = Callable[..., Line]


@contextmanager
def connections(portal: BlockingPortal) -> Iterator[Connect]:
    """Opens connections to applications, and ends them with the block. Parts are what it reads at once."""
    opened: list[tuple[socket.socket, ExpressProtocol]] = []

    def connecting(app: Any, *parts: bytes, keep_alive: float = PATIENCE_SECONDS) -> Line:
        config = configuration(app, Settings())
        config.load()
        config.timeout_keep_alive = keep_alive  # type: ignore[assignment]  # call_later takes fractions
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_SECONDS)

        async def serve() -> ExpressProtocol:
            loop = asyncio.get_running_loop()
            _, protocol = await loop.connect_accepted_socket(
                lambda: ExpressProtocol(config, ServerState(), {}), theirs
            )
            # In the same turn of the loop, before anybody's patience can be at an end.
            for part in parts:
                protocol.data_received(part)
            return protocol

        protocol = portal.call(serve)
        opened.append((ours, protocol))
        return Line(portal, protocol, ours)

    yield connecting
    for ours, protocol in opened:
        portal.call(protocol.transport.abort)
        ours.close()
