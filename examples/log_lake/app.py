"""The whole application: credentials in one form, the guard, and the routes behind it."""

from __future__ import annotations

import os
from functools import partial

from starlette.types import ASGIApp

from examples.log_lake.api import check_routes, create_api
from examples.log_lake.credentials import Credentials
from examples.log_lake.errors import REALM
from examples.log_lake.firehose_answers import FirehoseAnswers
from examples.log_lake.names import is_tenant_id
from examples.log_lake.operations import OPERATIONS
from examples.log_lake.service import Service
from examples.log_lake.settings import Settings
from keyrack import Key
from keyrack.guards.asgi import Guard

TENANT_HEADER = "X-P-Tenant"
DEFAULT_TENANT = "default"


def create() -> ASGIApp:
    """The application of a server process, from its environment."""
    return create_app(Service.open(Settings.read(os.environ)))


def create_app(service: Service) -> ASGIApp:
    """The application on an open service, which it closes when its server stops."""
    api = create_api()
    check_routes(api)
    api.state.service = service
    guard = Guard(
        api,
        service.verifier,
        [operation.row for operation in OPERATIONS],
        realm=REALM,
        trusted_proxies=service.settings.trusted_proxies,
        tenant_header=TENANT_HEADER,
        ceiling=partial(_reach, multi_tenant=service.settings.multi_tenant),
    )
    return FirehoseAnswers(Credentials(guard, basic=service.settings.basic_auth), service.clock)


def _reach(key: Key, *, multi_tenant: bool) -> tuple[str, ...]:
    """What a key may do at most: nothing, where its tenant is none of this lake, or none at all.

    Where there is one tenant only, keys may be left of others. And a tenant's id is the name of a folder.
    """
    if not multi_tenant and key.tenant != DEFAULT_TENANT:
        return ()
    return key.scopes if is_tenant_id(key.tenant) else ()
