"""The server as one ASGI application: front, hot paths, guard, strict bodies, management API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import FastAPI

from keyrack.core.master_keys import MasterKeys
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.balances import CreditBalances
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.app import Gateway
from keyrack.gateway.data_plane import DataPlane
from keyrack.guards.asgi import Guard
from keyrack.network_blocks import NetworkBlocks
from keyrack.server.background import Background
from keyrack.server.dependencies import Services
from keyrack.server.failures import handle_failures
from keyrack.server.front import Front
from keyrack.server.hot import IMMEDIATE, QUIET_PATHS, HotPaths
from keyrack.server.openapi import describe, operation_id
from keyrack.server.opening import master_keys
from keyrack.server.proxies import Proxies
from keyrack.server.reported import Reported
from keyrack.server.routes import (
    apis,
    audit,
    credit_balances,
    credit_groups,
    health,
    keys,
    me,
    network_blocks,
    pages,
    remote,
    sessions,
    tenants,
)
from keyrack.server.strict import StrictRequests
from keyrack.server.table import ROWS
from keyrack.server.wire import App
from keyrack.sessions.exchange import Sessions
from keyrack.settings import Settings
from keyrack.tenancy import Tenants
from keyrack.vault.secrets import Vault
from keyrack.verifier import Verifier

REALM = "keyrack"
ROUTES = (
    keys,
    tenants,
    network_blocks,
    credit_groups,
    credit_balances,
    apis,
    audit,
    me,
    sessions,
    remote,
    health,
    pages,
)
"""The modules of the management API, in the order in which its document shows them."""


def create_app(settings: Settings, verifier: Verifier) -> App:
    """The application on an open Verifier, which it closes when it shuts down."""
    background = Background(verifier, settings.webhooks, networks=settings.upstream_networks)
    api = management_api(verifier, background, master_keys(settings))
    strict = StrictRequests(api)
    guard = Guard(strict, verifier, ROWS, realm=REALM, trusted_proxies=settings.trusted_proxies)
    plane = DataPlane.of(verifier, Vault(master_keys(settings)), background.monitoring, realm=REALM)
    proxies = Proxies(
        guard,
        plane,
        trusted_proxies=settings.trusted_proxies,
        realm=REALM,
        internal_alone=settings.internal is not None,
        traefik_key=settings.traefik_key,
    )
    gateway = Gateway(
        proxies,
        plane,
        trusted_proxies=settings.trusted_proxies,
        networks=settings.upstream_networks,
        silent_seconds=settings.upstream_timeout,
    )
    hot = HotPaths(gateway, verifier, trusted_proxies=settings.trusted_proxies, realm=REALM)
    return Front(hot, internal_app=strict, internal=settings.internal, quiet=QUIET_PATHS, immediate=IMMEDIATE)


def management_api(
    verifier: Verifier, background: Background, master_keys: MasterKeys | None = None
) -> FastAPI:
    """The management API, not yet guarded. Without master keys it makes no sessions."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with background.running():
            yield
        verifier.close()

    api = FastAPI(
        title="Keyrack",
        version=version("keyrack"),
        description="Issue, verify, scope, limit, rotate and revoke API keys.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    api.state.verifier = verifier
    api.state.metrics = background.metrics
    api.state.reported = Reported()
    api.state.services = _services(verifier, background, Vault(master_keys), Sessions(verifier, master_keys))
    for module in ROUTES:
        api.include_router(module.router)
    handle_failures(api)
    describe(api)
    return api


def _services(verifier: Verifier, background: Background, vault: Vault, sessions: Sessions) -> Services:
    stores, spread = verifier.stores, verifier.spread
    return Services(
        stores,
        verifier.issuer(),
        Tenants(stores, spread=spread),
        sessions,
        NetworkBlocks(stores, spread=spread),
        Upstreams(stores, vault, spread=spread),
        Apis(stores, vault, spread=spread),
        CreditBalances(stores, vault, spread=spread),
        background.monitoring.tally,
    )
