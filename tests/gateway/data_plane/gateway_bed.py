"""A gateway for tests: served by the real server on a real port, in front of upstreams that tests control."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import uvicorn
from anyio.from_thread import BlockingPortal
from engine_bed import OPERATOR
from patience import PATIENCE_SECONDS, eventually
from raw_upstream import RawUpstream
from session_bed import ONE

from keyrack import Policy, Wish
from keyrack.core.upstream import Api, Upstream
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.app import Gateway
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.guards.asgi import Receive, Scope, Send
from keyrack.server.front import Front
from keyrack.server.run import configuration
from keyrack.settings import Settings
from keyrack.stores.balances import Account, Amendment, Balance
from keyrack.tenancy import Tenants
from keyrack.testing import FixedClock, open_memory
from keyrack.vault.secrets import Vault

KEYS = tuple(f"sk-upstream-{number}-ZmFrZSBrZXkgZm9yIHRlc3Rz" for number in range(9))
"""Secrets of upstreams, by version."""
TIER = {
    "tier_name": "basic",
    "credits": 100,
    "input_limit": None,
    "output_limit": None,
    "reset_frequency": "daily",
}
SCOPE = "chat:send"
ANY = [
    {"method": method, "uri": uri, "scope": SCOPE, "cost": 1}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    for uri in ("/", "/chat", "/chat/{id}", "/files/{name}")
]


class Answered(NamedTuple):
    """What a client got."""

    status: int
    headers: list[tuple[str, str]]
    """Names in lower case."""
    body: bytes

    def __getitem__(self, name: str) -> str:  # by the name of a header
        return next(value for known, value in self.headers if known == name)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.headers}


class GatewayBed:
    """One process of a gateway on a store in memory, at a time that stands still."""

    def __init__(self, portal: BlockingPortal, **options: Any):
        policy: Policy | None = options.pop("policy", None)
        self.clock = FixedClock()
        self.portal = portal
        self.verifier = open_memory(policy, clock=self.clock)
        self.stores = self.verifier.stores
        self.vault = Vault(ONE)
        self.upstreams = Upstreams(self.stores, self.vault, spread=self.verifier.spread)
        self.apis = Apis(self.stores, self.vault, spread=self.verifier.spread)
        self.tenants = Tenants(self.stores, spread=self.verifier.spread)
        self.monitoring = Monitoring.of(self.stores)
        self.plane = DataPlane.of(self.verifier, self.vault, self.monitoring, realm="keyrack")
        self.pauses: list[float] = []
        """The seconds for which it would have waited before it sent again."""
        self.gateway = Gateway(_beyond, self.plane, pause=self._pause, **options)
        self._names = count(1)
        self._upstreams: list[RawUpstream] = []

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def upstream(self) -> RawUpstream:
        """A new server, which ends with the bed."""
        self._upstreams.append(RawUpstream(self.portal))
        return self._upstreams[-1]

    def group(self, **given: Any) -> Upstream:
        """A new credit group with its first key."""
        name = f"group-{next(self._names)}"
        fields = {
            "api_credit_group": name,
            "api_key": KEYS[1],
            "api_key_header": "Authorization",
            "api_key_format": "Bearer {key}",
            "credit_tiers": [TIER],
        }
        tenant = given.pop("tenant", None)
        return self.upstreams.create({**fields, **given}, by=OPERATOR, tenant=tenant)

    def api(self, upstream: RawUpstream | str | Sequence[str], **given: Any) -> Api:
        """A new API on these servers, with a group of its own unless one is given; charged if it is told."""
        tenant = given.pop("tenant", None)
        servers = upstream.url if isinstance(upstream, RawUpstream) else upstream
        if "api_credit_group" not in given:
            given["api_credit_group"] = self.group(tenant=tenant).name
        fields = {
            "api_name": f"api-{next(self._names)}",
            "api_version": "v1",
            "api_servers": [servers] if isinstance(servers, str) else list(servers),
            "api_response_headers": ["x-answer"],
            "endpoints": ANY,
        }
        return self.apis.create({**fields, **given}, by=OPERATOR, tenant=tenant)

    def rotate(self, group: str, number: int = 2, **given: Any) -> Upstream:
        """Start a rotation to the key of that number."""
        return self.upstreams.rotate(group, {"api_key_new": KEYS[number], **given}, by=OPERATOR)

    def key(self, *scopes: str, **wish: Any) -> str:
        """The text of a new key, which may use everything unless it is said what."""
        wish = {"name": "caller", "owner": "ada", "scopes": scopes or (SCOPE,), **wish}
        return str(self.verifier.issuer().mint(Wish(**wish), by=OPERATOR).secret)

    def give(self, group: str, amount: int, owner: str = "ada", tier: str = "basic") -> None:
        """Give a user a balance in a group."""
        found = self._group(group)
        self._balances.amend(
            Account(found.tenant, owner, group), Amendment(tier, amount), found.tiers, self.clock.now
        )

    def balance(self, group: str, owner: str = "ada") -> Balance:
        """A user's balance in a group."""
        found = self._group(group)
        balance = self._balances.get(Account(found.tenant, owner, group), found.tiers, self.clock.now)
        assert balance is not None
        return balance

    def signals(self) -> list[str]:
        """The kinds of signals that were told by now, each as often as it was."""
        self.monitoring.signals.flush()
        return sorted(self.monitoring.signals.totals.elements())

    @property
    def _balances(self) -> Any:
        assert self.stores.balances is not None
        return self.stores.balances

    def _group(self, group: str) -> Upstream:
        return self.verifier.follower.replica.upstreams[f"default/{group}"]

    def close(self) -> None:
        for upstream in self._upstreams:
            upstream.close()
        self.verifier.close()


async def _beyond(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the gateway."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"beyond"})


class Served(NamedTuple):
    """A bed that is served on a port."""

    bed: GatewayBed
    port: int

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS)

    def __call__(
        self, method: str, target: str, *, key: str | None = None, body: Any = None, **headers: str
    ) -> Answered:
        """One request on a connection of its own; `_` in the name of a header stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, target, body=body, headers=given)
            response = connection.getresponse()
            return read(response)
        finally:
            connection.close()


Serve = Callable[..., Served]
"""Makes a gateway with options of its own."""


def read(response: http.client.HTTPResponse) -> Answered:
    """A response to its end. Raises http.client.IncompleteRead for one that was cut."""
    headers = [(name.lower(), value) for name, value in response.getheaders()]
    return Answered(response.status, headers, response.read())


def path_of(api: Api, path: str = "/chat") -> str:
    """Where a client reaches an API."""
    return f"/api/rest/{api.name}/{api.version}{path}"


@contextmanager
def serving(bed: GatewayBed) -> Iterator[Served]:
    """The bed behind the real server."""
    listener = socket.create_server(("127.0.0.1", 0))
    front = Front(bed.gateway, internal_app=_beyond, internal=None, quiet=frozenset())
    server = uvicorn.Server(configuration(front, Settings()))
    running = bed.portal.start_task_soon(server.serve, [listener])
    try:
        eventually(lambda: server.started)
        yield Served(bed, listener.getsockname()[1])
    finally:
        server.should_exit = True
        running.result(PATIENCE_SECONDS)
        bed.close()
