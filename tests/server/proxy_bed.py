"""What the tests of forward-auth's forms stand on: an API with an upstream key, and proxies that ask."""

from __future__ import annotations

from typing import Any

from guards.bed import BY, Answer, Bed, call_asgi
from session_bed import M1

from keyrack.core.master_keys import MasterKeys
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.server.front import Front
from keyrack.server.proxies import Proxies
from keyrack.settings import Listener, Settings
from keyrack.stores.balances import Account, Amendment, Balance
from keyrack.vault.secrets import Vault

INTERNAL = Listener("127.0.0.1", 8081)
PROXY = "198.51.100.4"
OLD, NEW = "upstream-key-number-one", "upstream-key-number-two"
TIER = {
    "tier_name": "basic",
    "credits": 3,
    "input_limit": None,
    "output_limit": None,
    "reset_frequency": "never",
}
GROUP = {
    "api_credit_group": "openai",
    "api_key": OLD,
    "api_key_header": "Authorization",
    "api_key_format": "Bearer {key}",
    "credit_tiers": [TIER],
}
API = {
    "api_name": "chat",
    "api_version": "v1",
    "api_servers": ["http://127.0.0.1:9"],
    "api_credit_group": "openai",
    "endpoints": [
        {"method": "GET", "uri": "/chat/{id}", "scope": "chat:read", "cost": 1},
        {"method": "POST", "uri": "/chat/big", "scope": "chat:write", "cost": 2},
    ],
}
Headers = list[tuple[str, str]]


class ProxyBed(Bed):
    """A server inside the test, and what proxies ask it."""

    def __init__(self, settings: Settings | None = None, **api: Any):
        """`api` are members of its document that differ."""
        super().__init__()
        vault = Vault(MasterKeys.parse(M1))
        self.upstreams = Upstreams(self.verifier.stores, vault)
        self.apis = Apis(self.verifier.stores, vault)
        self.upstreams.create(GROUP, by=BY)
        self.apis.create({**API, **api}, by=BY)
        self.verifier.follower.poll()
        key, self.proxy = self.mint("gateway:authorize", "apis/chat/v1:inject")
        self.proxy_id = key.id
        monitoring = Monitoring.of(self.verifier.stores)
        self.plane = DataPlane.of(self.verifier, vault, monitoring, realm="keyrack")
        self.app = self._app(Settings(internal=INTERNAL) if settings is None else settings)

    def _app(self, settings: Settings) -> Front:
        """The forms behind the front of the server, as an operator of Traefik sets it up."""
        proxies = Proxies(
            _nothing,
            self.plane,
            trusted_proxies=settings.trusted_proxies,
            realm="keyrack",
            internal_alone=settings.internal is not None,
            traefik_key=self.proxy,
        )
        return Front(proxies, internal_app=_nothing, internal=settings.internal, quiet=frozenset())

    def ask(
        self,
        form: str,
        text: str | None = None,
        headers: Headers | None = None,
        *,
        method: str = "GET",
        target: str = "/chat/7",
        needs: tuple[str, str] = ("x-keyrack-api", "chat/v1"),
        proxy: str | None = None,
        **scope: Any,
    ) -> Answer:
        """What the proxy of this form is answered about a request with this key."""
        own = [("x-keyrack-proxy-key", self.proxy if proxy is None else proxy), needs]
        own = [pair for pair in own if pair[1]]
        own += [("x-api-key", text)] if text else []
        told, asked = told_by(form, method, target)
        scope = {"peer": PROXY, **asked, **scope}
        return call_asgi(self.app, headers=[*own, *told, *(headers or [])], **scope)

    def credit(self, owner: str, available: int) -> None:
        """Give an owner so many credits in the group."""
        balances, upstream = self.verifier.stores.balances, self.upstreams.get("openai", by=BY)
        assert balances is not None
        amendment = Amendment(tier="basic", available=available)
        balances.amend(Account("default", owner, "openai"), amendment, upstream.tiers, self.clock())

    def balance(self, owner: str) -> Balance:
        """The owner's balance in the group."""
        balances, upstream = self.verifier.stores.balances, self.upstreams.get("openai", by=BY)
        assert balances is not None
        found = balances.get(Account("default", owner, "openai"), upstream.tiers, self.clock())
        assert found is not None
        return found


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no test asks for anything else")


def told_by(form: str, method: str, target: str) -> tuple[Headers, dict[str, Any]]:
    """How a proxy says what the request is: the headers it adds, and the question's own method and path."""
    if form == "envoy":
        path, _, query = target.partition("?")
        place = f"/v1/forward-auth/envoy{path}"
        return [], {"method": method, "path": place, "raw_path": place.encode(), "query": query}
    name = "original" if form == "nginx" else "forwarded"
    told = [(f"x-{name}-method", method), (f"x-{name}-uri", target)]
    internal = {"server": INTERNAL} if form == "traefik" else {}
    return told, {"method": "GET", "path": f"/v1/forward-auth/{form}", **internal}
