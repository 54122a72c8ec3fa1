"""The shape of a service that stands on a server elsewhere: a guard whose verifier asks it over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from anyio.from_thread import start_blocking_portal
from guards.bed import BY, Answer
from server.server_bed import Inside

from keyrack import Client, Limit, Reason, Verifier, Wish
from keyrack.remote.verifier import RemoteVerifier
from keyrack.server.app import create_app
from keyrack.settings import Settings
from keyrack.stores.journal import Notebook
from keyrack.tenancy import Tenants
from parity.shapes import AsgiGuard, Case, Shape

PLENTY = 1_000_000


class RemoteStore:
    """The library in front of an application, with `https://…` for a store."""

    notebook: Notebook
    """Of the service; what it decides by itself is noted there alone."""

    def open(self, verifier: Verifier | None) -> None:
        assert verifier is not None
        self._verifier = verifier
        self._app = create_app(Settings(), verifier)
        self._own = _service_key(verifier) if verifier.doubt() is None else "anybody"

    def ask(self, case: Case) -> Answer:
        with start_blocking_portal() as portal:
            transport = Inside(self._app, portal)
            remote = RemoteVerifier(
                lambda retries: Client(
                    "http://localhost", key=self._own, transport=transport, retries=retries
                ),
                clock=self._verifier.clock,
            )
            remote.following.node = None
            remote.following.follow()
            self.notebook = remote.notebook
            guard = AsgiGuard()
            guard.open(remote)  # it decides, and guards ask for no more
            return guard.ask(case)


REMOTE_SHAPES: dict[str, Callable[[], Shape]] = {"remote": RemoteStore}
REMOTE_CANNOT: dict[str, frozenset[Reason]] = {}


def _service_key(verifier: Verifier) -> str:
    """The key of a service that may ask about keys of any tenant, as often as it likes."""
    Tenants(verifier.stores, spread=verifier.spread).create("services", by=BY)
    limits = [Limit(one.name, PLENTY, one.window_seconds) for one in verifier.policy.limits]
    wish = Wish("service", scopes=["keys:verify", "tenants:verify"], tenant="services", limits=limits)
    return verifier.issuer().mint(wish, by=BY).secret or ""
