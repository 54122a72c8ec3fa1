"""The whole application: headers, limits by address, the guard, roles, strict requests, and the routes."""

from __future__ import annotations

import os

from starlette.types import ASGIApp

from examples.ci_results.api import create_api
from examples.ci_results.middleware.errors import Reworded
from examples.ci_results.middleware.limits import AddressLimits
from examples.ci_results.middleware.roles import Roles
from examples.ci_results.middleware.security import SecurityHeaders
from examples.ci_results.middleware.validation import StrictRequests
from examples.ci_results.operations import OPERATIONS
from examples.ci_results.service import Service
from examples.ci_results.settings import Settings
from keyrack.guards.asgi import Guard

REALM = "ci-results"


def create() -> ASGIApp:
    """The application of a server process, from its environment."""
    return create_app(Service.open(Settings.read(os.environ)))


def create_app(service: Service) -> ASGIApp:
    """The application on an open service, which it closes when its server stops.

    From the outside in: what is nearer to the routes sees only what the others let through.
    """
    settings = service.settings
    api = create_api()
    api.state.service = service
    strict = StrictRequests(api)
    roles = Roles(strict, service.accounts, rate_limit=settings.rate_limit)
    guard = Guard(
        roles,
        service.verifier,
        [operation.row for operation in OPERATIONS],
        realm=REALM,
        trusted_proxies=settings.trusted_proxies,
    )
    app: ASGIApp = Reworded(guard)
    if settings.rate_limit:
        app = AddressLimits(app, service.verifier, trusted_proxies=settings.trusted_proxies)
    return SecurityHeaders(app, hsts=settings.hsts, trusted_proxies=settings.trusted_proxies)
