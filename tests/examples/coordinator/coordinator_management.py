"""Keyrack's own management API beside the coordinator, on the same key store: a node of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx
from coordinator_bed import Clock, Secrets

from keyrack import Authority, Verifier, Wish
from keyrack.server.app import create_app
from keyrack.settings import Settings

OPERATOR = Authority.operator("test")


class Management:
    """A Keyrack server asked with a root key. Each call must succeed."""

    def __init__(self, url: str, peppers: str, clock: Clock, used: Secrets):
        self._used = used
        self.verifier = Verifier.open(url, peppers=peppers, clock=lambda: clock().timestamp())
        root = self.verifier.issuer().mint(Wish("root", scopes=["*:*"]), by=OPERATOR)
        self._headers = {"X-API-Key": used.note(root.secret)}
        self._app: Callable[..., Any] = create_app(Settings(), self.verifier)
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.close()
        self.verifier.close()

    def ask(self, method: str, path: str, body: Any = None, *, expected: int = 200) -> Any:
        """One call to `/v1…`; its answer."""
        answer = self._loop.run(self._ask(method, f"/v1{path}", body))
        assert answer.status_code == expected, answer.text
        return answer.json()

    def key_of(self, caller: str) -> dict[str, Any]:
        """The key that a caller's static key became."""
        (found,) = self.ask("GET", f"/keys?owner={caller}")["data"]
        return dict(found)

    async def _ask(self, method: str, path: str, body: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://keyrack") as client:
            return await client.request(method, path, json=body, headers=self._headers)
