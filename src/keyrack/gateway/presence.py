"""Whether the client of a request is still there: what is done for one that has left is ended."""

from __future__ import annotations

import asyncio
from types import TracebackType

from keyrack.gateway.body import ClientGone, RequestBody
from keyrack.guards.asgi import Receive

LOOK_SECONDS = 0.05
"""Most requests are over by then, and nobody has to be watched."""


class Presence:
    """A block that ends with ClientGone when the client leaves meanwhile."""

    def __init__(self, receive: Receive, body: RequestBody):
        self._receive = receive
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        self._watching: asyncio.Task[None] | None = None
        self._look_again()

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()
        self._body.on_gone = self._leave

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._body.on_gone = _nobody_cares
        if self._watching is not None:
            self._watching.cancel()
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise ClientGone from None

    def _look_again(self) -> None:
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Watch, once nobody else reads what the client sends."""
        if self._body.is_whole:
            self._watching = self._loop.create_task(self._watch())
        else:
            self._look_again()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._scope.reschedule(self._loop.time())


def _nobody_cares() -> None:
    pass
