"""Remote stores on a server inside the test: their calls go through a transport that counts and fails."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal
from server.server_bed import House, Inside
from session_bed import M1

from keyrack import Access, Denied, Policy
from keyrack.client import Client
from keyrack.remote.verifier import RemoteVerifier
from keyrack.settings import Settings

URL = "http://localhost"


class Wire(httpx.BaseTransport):
    """The way to the server: counts what goes over it, and can be cut."""

    def __init__(self, inner: httpx.BaseTransport):
        self._inner = inner
        self.calls: Counter[str] = Counter()
        self.is_cut = False
        self.before: Any = None
        """Called with each request before it is sent."""
        self.after: Any = None
        """Called with each request once it is answered, before the answer comes."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls[request.url.path] += 1
        if self.is_cut:
            raise httpx.ConnectError("cut", request=request)
        if self.before is not None:
            self.before(request)
        answer = self._inner.handle_request(request)
        if self.after is not None:
            self.after(request)
        return answer


class Remote:
    """A remote store whose thread does not run: it follows, and reports, when it is told to."""

    def __init__(self, house: House, wire: Wire, key: str, **options: Any):
        self.wire = wire
        self.verifier = RemoteVerifier(
            lambda retries: Client(URL, key=key, transport=wire, retries=0), clock=house.clock, **options
        )
        # Nothing that changes shall wait for who follows only when told to.
        self.verifier.following.node = None

    def follow(self) -> bool:
        return self.verifier.following.follow()

    def report(self) -> None:
        self.verifier._reports.flush()

    def verdict(self, text: str, *scopes: str, **access: Any) -> str:
        """`ok`, or the exact reason of the refusal."""
        decision = self.verifier.verify(text, Access(scopes=scopes, **access))
        return decision.reason.value if isinstance(decision, Denied) else "ok"

    def asked(self, path: str) -> int:
        """How many calls there were of one operation."""
        return self.wire.calls[path]


class RemoteBed:
    """A server, and the remote stores on it."""

    def __init__(self, portal: BlockingPortal, *, policy: Policy | None = None):
        self.house = House(portal, policy=policy, settings=Settings(master_keys=M1))
        self.key = self.house.root.mint("keys:verify", "tenants:verify", name="service")["secret"]
        self._portal = portal
        self._remotes: list[Remote] = []

    def remote(self, key: str | None = None, *, cut: bool = False, **options: Any) -> Remote:
        """A remote store that has heard of the server, unless the way there is cut."""
        wire = Wire(Inside(self.house.app, self._portal))
        wire.is_cut = cut
        made = Remote(self.house, wire, key or self.key, **options)
        self._remotes.append(made)
        made.follow()
        return made

    def mint(self, *scopes: str, **wish: Any) -> dict[str, Any]:
        return self.house.root.mint(*scopes, **wish)

    def revoke(self, key_id: str) -> None:
        assert self.house.root("POST", f"/v1/keys/{key_id}/revoke", {}).status_code == 200

    def uses(self, key_id: str) -> int:
        """How often the key was used, as the server tells it."""
        self.house.flush()
        uses: int = self.house.root("GET", f"/v1/keys/{key_id}").json()["versions"][0]["uses"]
        return uses

    def denials(self) -> list[str]:
        """The reasons of the refusals in the server's journal."""
        self.house.flush()
        return [one["reason"] for one in self.house.root("GET", "/v1/denials").json()["data"]]

    def close(self) -> None:
        for remote in self._remotes:
            remote.wire.is_cut = True
            remote.verifier.close()
        self.house.verifier.close()
