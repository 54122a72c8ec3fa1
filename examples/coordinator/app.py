"""The whole application: the guard in front of the routes, each built from the one table."""

from __future__ import annotations

import os

from starlette.types import ASGIApp

from examples.coordinator.answers import REALM
from examples.coordinator.api import check_routes, create_api
from examples.coordinator.operations import OPERATIONS, Operation
from examples.coordinator.service import Service
from examples.coordinator.settings import Settings
from keyrack import Access
from keyrack.guards import OPEN, Row
from keyrack.guards.asgi import Guard


def create() -> ASGIApp:
    """The application of a server process, from its environment."""
    return create_app(Service.open(Settings.read(os.environ)))


def create_app(service: Service) -> ASGIApp:
    """The application on an open service, which it closes when its server stops."""
    api = create_api()
    check_routes(api)
    api.state.service = service
    return Guard(
        api,
        service.verifier,
        [_row(operation) for operation in OPERATIONS],
        realm=REALM,
        trusted_proxies=service.settings.trusted_proxies,
    )


def _row(operation: Operation) -> Row:
    access = Access(scopes=(operation.scope,)) if operation.scope else OPEN
    return Row(operation.method, operation.path, access)
