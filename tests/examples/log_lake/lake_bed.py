"""A log lake inside the test process, called over ASGI as by real clients, on a clock of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from starlette.types import Message

from examples.log_lake.app import create_app
from examples.log_lake.founding import found
from examples.log_lake.service import Service
from examples.log_lake.settings import Settings
from keyrack import Authority, Key, Minted, Wish

ADDRESS = "198.51.100.7"
OPERATOR = Authority.operator("tests")
TENANT_HEADER = "X-P-Tenant"
STREAM_HEADER = "X-P-Stream"


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class Used:
    """Every secret that a test was given, so that none is found where it may not be."""

    def __init__(self) -> None:
        self.secrets: list[str] = []


def environment(folder: Path, **changed: str) -> dict[str, str]:
    """What a lake needs: keys in memory, events in this folder."""
    return {
        "LAKE_STORAGE_URL": f"file:{folder / 'lake'}",
        "KEYRACK_STORE": "memory:",
        "KEYRACK_PEPPERS": f"p1:{secrets.token_hex(32)}",
        "LAKE_LIMITER_URL": "memory:",
        "LAKE_MULTI_TENANT": "on",
        **changed,
    }


class Lake:
    """A lake opened from an environment. Requests without a key have none."""

    def __init__(self, variables: Mapping[str, str], clock: Clock, used: Used):
        self.clock = clock
        self.used = used
        self.settings = Settings.read(variables)
        self.service = Service.open(self.settings, clock=clock)
        self.app = create_app(self.service)
        self.issuer = self.service.verifier.issuer()
        self.tenants = self.service.verifier.tenants()
        self._names = 0
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.close()
        self.service.close()

    def mint(self, *scopes: str, tenant: str = "default", **wish: Any) -> Minted:
        """A key that the operator made."""
        self._names += 1
        name = wish.pop("name", f"key {self._names}")
        minted = self.issuer.mint(Wish(name, scopes=scopes, tenant=tenant, **wish), by=OPERATOR)
        self.used.secrets.append(str(minted.secret))
        return minted

    def key(self, *scopes: str, tenant: str = "default", **wish: Any) -> str:
        """The text of a key that the operator made; without scopes it may do everything."""
        return str(self.mint(*(scopes or ("*:*",)), tenant=tenant, **wish).secret)

    def key_of(self, preset: str, **wish: Any) -> str:
        """The text of a key made from a preset."""
        minted = self.issuer.mint(Wish(preset, preset=preset, **wish), by=OPERATOR)
        self.used.secrets.append(str(minted.secret))
        return str(minted.secret)

    def tenant(self, tenant_id: str, **wish: Any) -> str:
        """A new tenant."""
        return self.tenants.create(tenant_id, wish, by=OPERATOR).id

    def suspend(self, tenant_id: str, service: str) -> None:
        """Refuse a service to a tenant."""
        self.tenants.suspend(tenant_id, service, by=OPERATOR)

    def change(self, tenant_id: str, **changes: Any) -> None:
        """Change a tenant."""
        self.tenants.update(tenant_id, changes, by=OPERATOR)

    def delete(self, tenant_id: str) -> None:
        """End a tenant."""
        self.tenants.delete(tenant_id, by=OPERATOR)

    def grant(self, key_id: str, *scopes: str) -> None:
        """Give a key these scopes and no others."""
        self.issuer.update(key_id, {"scopes": scopes}, by=OPERATOR)

    def record(self, key_id: str) -> Key:
        """A key as it is stored now."""
        return self.issuer.get(key_id, by=OPERATOR)

    def request(
        self, method: str, path: str, key: str | None = None, *, address: str = ADDRESS, **request: Any
    ) -> httpx.Response:
        """One request."""
        return self.send(prepared(method, path, key, **request), address=address)[0]

    def send(self, *requests: Mapping[str, Any], address: str = ADDRESS) -> list[httpx.Response]:
        """Send requests at the same time; the answers in their order."""
        return self._loop.run(self._send(requests, address))

    def send_raw(
        self, path: str, key: str, messages: Sequence[Message], *, fail_after: int | None = None
    ) -> list[Message]:
        """One POST as a server would hand it over: what comes in, then silence; what went out.

        With `fail_after` the connection breaks once so many messages went out.
        """
        sent: list[Message] = []
        waiting = list(messages)

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            return await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            sent.append(message)
            if len(sent) == fail_after:
                raise OSError("the connection is gone")

        headers = [(b"x-api-key", key.encode()), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": (ADDRESS, 40000),
        }
        with contextlib.suppress(OSError):
            self._loop.run(self.app(scope, receive, send))
        return sent

    async def _send(self, requests: Sequence[Mapping[str, Any]], address: str) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app, client=(address, 40000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://lake") as client:
            return list(await asyncio.gather(*(client.request(**request) for request in requests)))


def prepared(method: str, path: str, key: str | None = None, **request: Any) -> dict[str, Any]:
    """A request, with its key in X-API-Key."""
    given = request.pop("headers", {})
    headers = list(given.items()) if isinstance(given, Mapping) else list(given)
    if key is not None:
        headers.append(("X-API-Key", key))
    return {"method": method, "url": path, "headers": headers, **request}


def code(answer: httpx.Response) -> str:
    """The public code of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return str(answer.json()["code"])


def but_its_id(answer: httpx.Response) -> bytes:
    """The body of a problem without the id of its request."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return json.dumps(body).encode()


def wrong(key: str) -> str:
    """A text of the same form that is no key."""
    return key[:25] + ("A" if key[25] != "A" else "B") + key[26:]


OpenLake = Callable[..., Lake]


def make_store(variables: dict[str, str]) -> str:
    """Make the key store of a lake; the text of its root key."""
    root_key = found(Settings.read(variables))
    assert root_key is not None
    return root_key
