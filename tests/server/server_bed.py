"""What the tests of the server stand on: a store with a root key, and callers of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal

from keyrack import Authority, Issuer, Policy, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.core.records import write_time
from keyrack.server.app import create_app
from keyrack.settings import Settings
from keyrack.testing import PEPPERS, FixedClock, open_memory

OPERATOR = Authority.operator("init")


@dataclass(frozen=True)
class Founded:
    """A store, with its root key."""

    url: str
    root: str

    @property
    def settings(self) -> dict[str, str]:
        """What a server needs in its environment to serve from it."""
        return {"KEYRACK_STORE": self.url, "KEYRACK_PEPPERS": PEPPERS}


def make_store(folder: Path, *, max_stale: float | None = None) -> Founded:
    """A new store in a file, as `keyrack init` makes it."""
    return found_store(f"sqlite:///{folder / 'keyrack.db'}", max_stale=max_stale)


def found_store(url: str, *, max_stale: float | None = None) -> Founded:
    """A new store at this URL, likewise."""
    stores = open_stores(url, peppers=PEPPERS, create=True)
    try:
        found(stores, max_stale=max_stale)
        root = Issuer(stores).mint(Wish("root", scopes=["*:*"]), by=OPERATOR).secret
    finally:
        stores.close()
    return Founded(url, root or "")


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer that is a whole problem document."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert set(document) == {"type", "title", "status", "detail", "code", "details", "request_id"}
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, document["code"]


class Caller:
    """Somebody with a key, who calls the API."""

    def __init__(self, client: httpx.Client):
        self.client = client

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return self.client.request(method, path, json=json, **more)

    def mint(self, *scopes: str, **wish: Any) -> dict[str, Any]:
        """A new key: its record, and its text as `secret`."""
        answer = self("POST", "/v1/keys", {"name": "key", "scopes": scopes, **wish})
        assert answer.status_code == 201, answer.text
        return {**answer.json()["key"], "secret": answer.json()["secret"]}

    def verify(self, text: str, **question: Any) -> dict[str, Any]:
        """The answer to one question."""
        answer = self("POST", "/v1/verify", {"key": text, **question})
        assert answer.status_code == 200, answer.text
        decision: dict[str, Any] = answer.json()
        return decision

    def head(self) -> int:
        """The number of the last event in the log."""
        number: int = self("GET", "/readyz").json()["replica"]["event"]
        return number


class Inside(httpx.BaseTransport):
    """Calls an application of this process as if over HTTP; `peer` is the other end of the connection."""

    def __init__(self, app: Any, portal: BlockingPortal, peer: str = "127.0.0.1"):
        self._portal = portal
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 50_000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._send, request)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


class House:
    """A server inside the test: on a store in memory, at a time that stands still."""

    def __init__(
        self, portal: BlockingPortal, *, settings: Settings | None = None, policy: Policy | None = None
    ):
        self.clock = FixedClock()
        self.verifier = open_memory(policy, clock=self.clock)
        self.app = create_app(settings or Settings(), self.verifier)
        self._portal = portal
        minted = self.verifier.issuer().mint(Wish("root", scopes=["*:*"]), by=OPERATOR)
        self.root_id, self.root_key = minted.key.id, minted.secret or ""
        self.root = self.caller(self.root_key)
        self.operator = OPERATOR

    def caller(self, key: str | None = None, *, peer: str = "127.0.0.1") -> Caller:
        """Somebody who calls from this address, with a key or without."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = Inside(self.app, self._portal, peer)
        return Caller(httpx.Client(transport=transport, base_url="http://inside", headers=headers))

    def holder(self, *scopes: str, **wish: Any) -> Caller:
        """Somebody with a new key that holds these scopes."""
        return self.caller(self.root.mint(*scopes, **wish)["secret"])

    def flush(self) -> None:
        """Write what was noted, as the server does once a second."""
        self.verifier.notebook.flush(self.verifier.stores.journal)

    def at(self, seconds: float) -> str:
        """The time in so many seconds, as JSON has it."""
        return write_time(datetime.fromtimestamp(self.clock.now + seconds, UTC))

    def head(self) -> int:
        """The number of the last event in the log."""
        return self.verifier.follower.replica.head.number
