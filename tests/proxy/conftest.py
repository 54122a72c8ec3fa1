"""One nginx, one Keyrack server and one application for all tests of this folder in a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from guards.bed import Answer
from server.server_process import Running, serving

from keyrack.testing import PEPPERS
from proxy import caller
from proxy.application import Application, application
from proxy.keys import Prepared, prepare
from proxy.nginx import PATIENCE, SHIPPED, Nginx, nginx


class Site(NamedTuple):
    """Everything that stands between a client and the application."""

    nginx: Nginx
    keyrack: Running
    app: Application
    keys: Prepared

    def ask(
        self,
        name: str | None = None,
        method: str = "GET",
        target: str = "/logs",
        headers: caller.Headers = (),
        *,
        body: bytes = b"",
        source: str = "127.0.0.1",
    ) -> Answer:
        """One request with the key of this name."""
        key = [("X-API-Key", self.keys.texts[name])] if name else []
        return caller.ask(self.nginx.port, method, target, [*key, *headers], body=body, source=source)


def settings(keys: Prepared) -> dict[str, str]:
    """A server that believes what nginx says of addresses, and nothing on another address."""
    return {
        "KEYRACK_STORE": keys.url,
        "KEYRACK_PEPPERS": PEPPERS,
        "KEYRACK_TRUSTED_PROXIES": "127.0.0.1/32",
    }


def open_site(stack: ExitStack, folder: Path, *, patience: str = PATIENCE) -> Site:
    """A site of its own, which ends with the stack; nginx waits for Keyrack that long."""
    (folder / "nginx").mkdir()
    keys = prepare(folder)
    keyrack = stack.enter_context(serving(settings(keys), folder))
    app = stack.enter_context(application())
    port = int(keyrack.url.rpartition(":")[2])
    front = nginx(folder / "nginx", keyrack=port, app=app.port, patience=patience)
    return Site(stack.enter_context(front), keyrack, app, keys)


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        yield open_site(stack, tmp_path_factory.mktemp("site"))


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The shared site, whose application has seen nothing yet."""
    shared_site.app.forget()
    return shared_site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site that a test may break."""
    with ExitStack() as stack:
        yield open_site(stack, tmp_path)


@pytest.fixture
def hasty_site(tmp_path: Path) -> Iterator[Site]:
    """The same, where nginx waits for Keyrack no longer than it is shipped to."""
    with ExitStack() as stack:
        yield open_site(stack, tmp_path, patience=SHIPPED)
