"""The whole application: headers, limits by address, the guard, roles, strict requests, and the routes."""

from __future__ import annotations

import logging
import os

from starlette.types import ASGIApp, Receive, Scope, Send

from examples.ci_results.api import create_api
from examples.ci_results.middleware.errors import Reworded
from examples.ci_results.middleware.limits import AddressLimits
from examples.ci_results.middleware.roles import Roles
from examples.ci_results.middleware.security import SecurityHeaders
from examples.ci_results.middleware.validation import StrictRequests
from examples.ci_results.operations import LIMITS, OPERATIONS, Limits
from examples.ci_results.service import Service
from examples.ci_results.settings import Settings
from keyrack.guards.asgi import Guard

log = logging.getLogger(__name__)
REALM = "ci-results"
CREDENTIALS = (b"authorization", b"x-api-key")


def create() -> ASGIApp:
    """The application of a server process, from its environment."""
    return create_app(Service.open(Settings.read(os.environ)))


class Presented:
    """An application that is another one for requests that present a credential."""

    def __init__(self, without: ASGIApp, presenting: ASGIApp):
        self._without = without
        self._presenting = presenting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope.get("headers", ())}
        app = self._without if names.isdisjoint(CREDENTIALS) else self._presenting
        await app(scope, receive, send)


def create_app(service: Service, limits: Limits = LIMITS) -> ASGIApp:
    """The application on an open service, which it closes when its server stops.

    Without CI_RATE_LIMIT it has no limits, whatever is given here.

    From the outside in: what is nearer to the routes sees only what the others let through.
    """
    settings = service.settings
    if not settings.rate_limit:
        log.warning("CI_RATE_LIMIT is off: nobody is limited")
    api = create_api()
    api.state.service = service
    strict = StrictRequests(api)
    roles = Roles(strict, service.accounts, limits=limits if settings.rate_limit else None)
    rows = [operation.row for operation in OPERATIONS]
    named_rows = [operation.named_row for operation in OPERATIONS]
    guards = [
        Guard(roles, service.verifier, one, realm=REALM, trusted_proxies=settings.trusted_proxies)
        for one in (rows, named_rows)
    ]
    app: ASGIApp = Reworded(Presented(*guards))
    if settings.rate_limit:
        app = AddressLimits(app, service.verifier, limits, trusted_proxies=settings.trusted_proxies)
    return SecurityHeaders(app, hsts=settings.hsts, trusted_proxies=settings.trusted_proxies)
