"""The shapes that decide by the document of an API: the built-in gateway, and the forms of forward-auth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from guards.bed import BY, Answer, call_asgi
from session_bed import ONE

from keyrack import Verifier
from keyrack.core.model import DEFAULT_TENANT
from keyrack.core.upstream import upstream_id
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.app import Gateway
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.vault.secrets import Vault
from parity.cases import GROUP, ROW
from parity.server_shapes import FORMS, TRUSTED, Form
from parity.shapes import REALM, Case, Shape


class FormByDocument(Form):
    """The same proxy where its configuration names an API."""

    def open(self, verifier: Verifier) -> None:
        make_api(verifier, "http://127.0.0.1:9")
        super().open(verifier)

    def needs(self, case: Case) -> tuple[str, str]:
        return "X-Keyrack-Api", "logs/v1"


class BuiltInGateway:
    """The gateway, in front of an upstream at this port."""

    def __init__(self, port: int):
        self._upstream = f"http://127.0.0.1:{port}"

    def open(self, verifier: Verifier) -> None:
        make_api(verifier, self._upstream)
        plane = DataPlane.of(verifier, Vault(None), Monitoring.of(verifier.stores), realm=REALM)
        self._gateway = Gateway(_ending, plane, trusted_proxies=TRUSTED)

    def ask(self, case: Case) -> Answer:
        path = f"/api/rest/logs/v1{case.row.path}"
        return call_asgi(
            self._once, case.row.method, path, case.headers, peer=case.peer, raw_path=path.encode()
        )

    async def _once(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, after which the connections to the upstream are closed."""
        await self._gateway(scope, receive, send)
        await self._gateway({"type": "lifespan"}, receive, send)


API_SHAPES: dict[str, Callable[[int], Shape]] = {
    "gateway": BuiltInGateway,
    **{form: partial(lambda form, _: FormByDocument(form), form) for form in FORMS},
}
"""By name; each is given the port of an upstream."""


def make_api(verifier: Verifier, upstream: str) -> None:
    """The API whose document says what the row of the cases says, where anything can be decided."""
    if verifier.doubt() is not None:
        return
    (scope,) = ROW.access.scopes
    document = {
        "api_name": "logs",
        "api_version": "v1",
        "api_servers": [upstream],
        "endpoints": [{"method": ROW.method, "uri": ROW.path, "scope": scope}],
    }
    group = GROUP["api_credit_group"]
    if upstream_id(DEFAULT_TENANT, group) in verifier.follower.replica.upstreams:
        document |= {"api_credit_group": group, "api_credits_enabled": True}
    Apis(verifier.stores, Vault(ONE)).create(document, by=BY)
    verifier.follower.poll()


async def _ending(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "lifespan", "no case asks for anything else"
