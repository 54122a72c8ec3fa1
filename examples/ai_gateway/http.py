"""JSON over HTTP: Keyrack's management API and the provider's console, called by whoever owns both."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 2.0
"""How long a connection is kept for the next call: less than servers keep it, so that it is closed here."""


class Answered(Exception):
    """An answer that was not expected."""

    def __init__(self, status: int, body: Any):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


def connector(address: str | None = None) -> aiohttp.TCPConnector:
    """Connections from this address of this machine, or from any."""
    local = None if address is None else (address, 0)
    return aiohttp.TCPConnector(local_addr=local, limit=0, keepalive_timeout=IDLE_SECONDS)


class Desk:
    """Calls one server with one credential: `async with Desk(url, {"Authorization": …}) as desk`."""

    def __init__(self, url: str, headers: dict[str, str]):
        self._session = aiohttp.ClientSession(
            url, headers=headers, connector=connector(), timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the answer; None where there is no body. Raises Answered for any but a success."""
        async with self._session.request(method, path, json=body) as answer:
            document = await answer.json(content_type=None) if answer.status != 204 else None
            if answer.status >= 300:
                raise Answered(answer.status, document)
            return document
