"""The shapes of the server: its verify endpoint, and forward-auth by itself and behind a real nginx."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvicorn
from guards.bed import BY, Answer, call_asgi, run_asgi
from patience import eventually
from proxy import caller
from proxy.application import application
from proxy.nginx import nginx
from server.proxy_bed import told_by

from keyrack import Limit, Reason, Verifier, Wish
from keyrack.core.http import extract
from keyrack.core.model import Denied, Rate
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.guards.answers import refusal
from keyrack.server.front import Front
from keyrack.server.hot import QUIET_PATHS, HotPaths
from keyrack.server.proxies import Proxies
from keyrack.settings import Listener
from keyrack.tenancy import Tenants
from keyrack.vault.secrets import Vault
from parity.shapes import REALM, Case, Shape

PROXY = "127.0.0.1"
TRUSTED = (ip_network(PROXY),)
INTERNAL = Listener(PROXY, 8081)
FORMS = ("nginx", "caddy", "traefik", "envoy")
PLENTY = 1_000_000


class VerifyEndpoint:
    """A service in another language: it asks `/v1/verify` and answers by the table."""

    def open(self, verifier: Verifier) -> None:
        self._verifier = verifier
        # While nothing can be decided, nobody is asked for more than any text.
        self._own = _service_key(verifier) if verifier.doubt() is None else "anybody"

    def ask(self, case: Case) -> Answer:
        asked = self._post(case)
        if asked.status != 200:
            return asked
        told = asked.json()
        if told["valid"]:
            return Answer(200, [], b"")
        response = refusal(
            Denied(
                Reason(told["reason"]),
                details=told.get("details", {}),
                rates=tuple(Rate(**rate) for rate in told.get("limits", ())),
                retry_after=told.get("retry_after"),
            ),
            realm=REALM,
            request_id=dict(case.headers)["X-Request-ID"],
            now=self._verifier.stores.clock(),
        )
        assert told["code"] == json.loads(response.body)["code"]
        return Answer(response.status, list(response.headers), response.body)

    def _post(self, case: Case) -> Answer:
        lines = [(name.lower().encode(), value.encode()) for name, value in case.headers]
        found = extract(lines)
        access = case.row.access
        question = {
            "key": "" if isinstance(found, Reason) else found,
            "scopes": access.scopes,
            "tenant": access.tenant,
            "ip": case.peer,
        }
        own = [line for line in lines if line[0] == b"x-request-id"]
        own += [(b"authorization", f"Bearer {self._own}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/verify", "query_string": b"", "headers": own}
        body = {"type": "http.request", "body": json.dumps(question).encode()}
        start, end = run_asgi(server(self._verifier, self._own), {**scope, "client": (PROXY, 40000)}, body)
        answered = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        return Answer(start["status"], answered, end["body"])


class ForwardAuth:
    """A proxy that passes any answer on, such as Caddy, Traefik or Envoy."""

    path = "/v1/forward-auth"

    def open(self, verifier: Verifier) -> None:
        self._server = server(verifier, "nobody")

    def ask(self, case: Case) -> Answer:
        forwarded = [
            ("X-Forwarded-Method", case.row.method),
            ("X-Forwarded-Uri", case.row.path),
            ("X-Forwarded-For", case.peer or ""),
        ]
        query = "scope=" + ",".join(case.row.access.scopes)
        headers = [*case.headers, *forwarded]
        return call_asgi(self._server, "GET", self.path, headers, query=query, peer=PROXY)


class Form:
    """A proxy that asks in a form of its own, with its key; what nginx is told is read as its file does."""

    def __init__(self, form: str):
        self._form = form

    def open(self, verifier: Verifier) -> None:
        self._key = proxy_key(verifier)
        self._server = server(verifier, self._key)

    def needs(self, case: Case) -> tuple[str, str]:
        """What the configuration of the proxy says that a request needs."""
        return "X-Keyrack-Scope", ",".join(case.row.access.scopes)

    def ask(self, case: Case) -> Answer:
        told, question = told_by(self._form, case.row.method, case.row.path)
        own = [("X-Keyrack-Proxy-Key", self._key), self.needs(case), ("X-Forwarded-For", case.peer or "")]
        scope = {**question, "peer": PROXY, "server": INTERNAL}
        answer = call_asgi(self._server, headers=[*case.headers, *own, *told], **scope)
        return _as_nginx_reads(answer) if self._form == "nginx" and answer.status != 200 else answer


def _as_nginx_reads(told: Answer) -> Answer:
    assert told.status in (401, 403)
    status, problem = told.header("x-keyrack-status"), told.header("x-keyrack-problem")
    assert status is not None
    assert problem is not None
    kept = [pair for pair in told.headers if not pair[0].startswith("x-keyrack-")]
    return Answer(int(status), kept, problem.encode("latin-1"))


class Stage:
    """A real nginx before an application, and the server that it asks: whichever is set."""

    def __init__(self) -> None:
        self.server: Any = None
        self.proxy_key = ""
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # nginx shows one key all the time, and each store has its own.
        others = [pair for pair in scope["headers"] if pair[0] != b"x-keyrack-proxy-key"]
        known = [*others, (b"x-keyrack-proxy-key", self.proxy_key.encode())]
        await self.server({**scope, "headers": known, "server": INTERNAL}, receive, send)


class ThroughNginx:
    """nginx with the shipped configuration, which asks the server over HTTP."""

    def __init__(self, stage: Stage):
        self._stage = stage

    def open(self, verifier: Verifier) -> None:
        self._stage.proxy_key = proxy_key(verifier)
        self._stage.server = server(verifier, self._stage.proxy_key)

    def ask(self, case: Case) -> Answer:
        return caller.ask(self._stage.port, case.row.method, case.row.path, case.headers)


SERVER_SHAPES: dict[str, Callable[..., Shape]] = {
    "verify": VerifyEndpoint,
    "forward-auth": ForwardAuth,
    **{f"forward-auth-{form}": partial(Form, form) for form in FORMS},
    "through-nginx": ThroughNginx,
}
CANNOT: dict[str, frozenset[Reason]] = {
    # Whoever asks about one key has found it, and answers for two of them by itself.
    "verify": frozenset({Reason.AMBIGUOUS}),
    # A proxy names no tenant.
    **dict.fromkeys(list(SERVER_SHAPES)[1:], frozenset({Reason.TENANT})),
}
"""The reasons that nobody who asks in this way can be refused for."""


@contextmanager
def standing_stage(folder: Path, *, scope: str) -> Iterator[Stage]:
    """A stage whose every location asks for this scope; it has ended when this is left."""
    stage = Stage()
    with (
        _served(stage) as port,
        application() as app,
        nginx(folder, keyrack=port, app=app.port, changes={"app:read;": f"{scope};"}) as running,
    ):
        stage.port = running.port
        yield stage


@contextmanager
def _served(app: Any) -> Iterator[int]:
    """The application behind a real HTTP server; the port of it."""
    with socket.create_server((PROXY, 0)) as listening:
        config = uvicorn.Config(
            app, http="httptools", lifespan="off", log_config=None, server_header=False, date_header=False
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            eventually(lambda: server.started)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def server(verifier: Verifier, known: str) -> Any:
    """What decides for others in the server, with its front; Traefik is known by that key."""
    monitoring = Monitoring.of(verifier.stores)
    proxies = Proxies(
        _nothing,
        DataPlane.of(verifier, Vault(None), monitoring, realm=REALM),
        trusted_proxies=TRUSTED,
        realm=REALM,
        internal_alone=True,
        traefik_key=known,
    )
    hot = HotPaths(proxies, verifier, trusted_proxies=TRUSTED, realm=REALM)
    return Front(hot, internal_app=_nothing, internal=INTERNAL, quiet=QUIET_PATHS)


def proxy_key(verifier: Verifier) -> str:
    """The key of a proxy, which is of a tenant of its own and asks as often as it likes."""
    if verifier.doubt() is not None:
        return "anybody"
    Tenants(verifier.stores, spread=verifier.spread).create("proxies", by=BY)
    limits = [Limit(one.name, PLENTY, one.window_seconds) for one in verifier.policy.limits]
    wish = Wish("proxy", scopes=["gateway:authorize"], tenant="proxies", limits=limits)
    return verifier.issuer().mint(wish, by=BY).secret or ""


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no case asks for anything else")


def _service_key(verifier: Verifier) -> str:
    """The key of a service that may ask about keys of any tenant, and is of a tenant of its own."""
    Tenants(verifier.stores, spread=verifier.spread).create("services", by=BY)
    wish = Wish("service", scopes=["keys:verify", "tenants:verify"], tenant="services")
    return verifier.issuer().mint(wish, by=BY).secret or ""
