"""An upstream as it is on the wire: a server that a test tells what to answer, byte for byte if it likes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from anyio.from_thread import BlockingPortal

PHRASE = b"As the test says"


class Received(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    """Names as they were written."""
    body: bytes

    def values(self, name: str) -> list[str]:
        """The values of every header whose name is this in any letter case."""
        return [value for known, value in self.headers if known.lower() == name.lower()]


class Exchange:
    """One request that is being answered."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        line, *rest = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        pairs = (one.partition(":") for one in rest if one)
        self.headers = [(name, value.strip()) for name, _, value in pairs]
        self.reader = reader
        self.writer = writer
        self.received = bytearray()
        self.is_whole = not self._value("content-length") and not self._value("transfer-encoding")

    async def body(self) -> bytes:
        """The body to its end."""
        while not self.is_whole:
            await self.some()
        return bytes(self.received)

    async def some(self) -> None:
        """A little more of the body."""
        if self._value("transfer-encoding"):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            self.received += (await self.reader.readexactly(size + 2))[:-2]
            self.is_whole = size == 0
            return
        length = int(self._value("content-length"))
        self.received += await self.reader.readexactly(min(65536, length - len(self.received)))
        self.is_whole = len(self.received) == length

    async def write(self, data: bytes) -> None:
        """Exactly these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, status: int = 200, body: bytes = b"ok", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """A whole answer of stated length."""
        sized = [*headers, ("Content-Length", str(len(body)))]
        shown = b"" if self.method == "HEAD" or status in (204, 304) else body
        await self.write(head(status, sized) + shown)

    async def begin(self, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> None:
        """The head of an answer whose parts follow."""
        await self.write(head(status, [*headers, ("Transfer-Encoding", "chunked")]))

    async def part(self, data: bytes) -> None:
        """One part; an empty one is the end."""
        await self.write(b"%x\r\n%s\r\n" % (len(data), data))

    def remembered(self) -> Received:
        return Received(self.method, self.target, self.headers, bytes(self.received))

    def _value(self, name: str) -> str:
        return next((value for known, value in self.headers if known.lower() == name), "")


Answer = Callable[[Exchange], Awaitable[None]]


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """A status line and headers."""
    lines = [b"HTTP/1.1 %d %s" % (status, PHRASE)]
    lines += [f"{name}: {value}".encode() for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def replying(status: int = 200, body: bytes = b"ok", **headers: str) -> Answer:
    """Reads a request whole, and answers so; `_` in a name stands for `-`."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]

    async def answer(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.reply(status, body, pairs)

    return answer


class RawUpstream:
    """A server on a port of its own, in the loop of a portal."""

    def __init__(self, portal: BlockingPortal):
        self._portal = portal
        self.answer: Answer = replying()
        """What is done with each request."""
        self.requests: list[Received] = []
        """Those that came, each as far as it was read."""
        self.connections = 0
        """How many were opened by now."""
        self.open = 0
        """How many are open now."""
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = portal.call(self._listen)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Received:
        """The last request."""
        return self.requests[-1]

    async def write(self, data: bytes) -> None:
        """Exactly these bytes, now, on the connection of the last request."""
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    def hang_up(self) -> None:
        """End the connection of the last request."""
        assert self._writer is not None
        self._portal.call(self._writer.close)

    def close(self) -> None:
        """Listen and answer no more."""
        self._portal.call(self._close)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may be used for another."""
        text = await reader.readuntil(b"\r\n\r\n")
        self._writer = writer
        exchange = Exchange(text[:-4], reader, writer)
        try:
            await self.answer(exchange)
        finally:
            self.requests.append(exchange.remembered())
        return exchange.is_whole and not writer.is_closing()
