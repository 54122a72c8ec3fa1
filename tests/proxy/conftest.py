"""One Keyrack server, one application and one of each proxy for all tests of this folder in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from guards.bed import Answer
from server.server_process import Running, serving
from session_bed import M1

from keyrack.testing import PEPPERS
from proxy import caller
from proxy.application import Application, application
from proxy.fronts import FRONTS, Front
from proxy.keys import Prepared, prepare
from proxy.nginx import PATIENCE, SHIPPED, Nginx, nginx


class House(NamedTuple):
    """Keyrack, and the application that proxies stand in front of."""

    keyrack: Running
    app: Application
    keys: Prepared

    @property
    def around(self) -> dict[str, Any]:
        """What a proxy has to know."""
        port = int(self.keyrack.internal_url.rpartition(":")[2])
        return {"keyrack": port, "app": self.app.port, "proxy_key": self.keys.texts["proxy"]}


class Site(NamedTuple):
    """Everything that stands between a client and the application."""

    nginx: Nginx
    house: House

    @property
    def keyrack(self) -> Running:
        return self.house.keyrack

    @property
    def app(self) -> Application:
        return self.house.app

    @property
    def keys(self) -> Prepared:
        return self.house.keys

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
        "KEYRACK_INTERNAL": "127.0.0.1:0",
        "KEYRACK_MASTER_KEYS": M1,
        "KEYRACK_TRAEFIK_KEY": keys.texts["proxy"],
    }


def open_house(stack: ExitStack, folder: Path) -> House:
    """A Keyrack and an application of their own, which end with the stack."""
    keys = prepare(folder)
    keyrack = stack.enter_context(serving(settings(keys), folder))
    return House(keyrack, stack.enter_context(application()), keys)


def open_site(stack: ExitStack, folder: Path, house: House, *, patience: str = PATIENCE) -> Site:
    """A site, which ends with the stack; nginx waits for Keyrack that long."""
    (folder / "nginx").mkdir()
    return Site(stack.enter_context(nginx(folder / "nginx", **house.around, patience=patience)), house)


@pytest.fixture(scope="session")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield open_house(stack, tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="session")
def shared_site(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        yield open_site(stack, tmp_path_factory.mktemp("site"), shared_house)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The shared site, whose application has seen nothing yet."""
    shared_site.app.forget()
    return shared_site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site that a test may break."""
    with ExitStack() as stack:
        yield open_site(stack, tmp_path, open_house(stack, tmp_path))


@pytest.fixture
def hasty_site(tmp_path: Path) -> Iterator[Site]:
    """The same, where nginx waits for Keyrack no longer than it is shipped to."""
    with ExitStack() as stack:
        yield open_site(stack, tmp_path, open_house(stack, tmp_path), patience=SHIPPED)


class Street(NamedTuple):
    """One proxy in front of the shared house."""

    front: Front
    house: House

    @property
    def app(self) -> Application:
        return self.house.app

    @property
    def keys(self) -> Prepared:
        return self.house.keys

    def ask(self, name: str | None = None, *asked: Any, **more: Any) -> Answer:
        """One request with the key of this name."""
        return self.front.ask(self.keys.texts[name] if name else None, *asked, **more)

    def chat(self, name: str | None = "good", *asked: Any, **more: Any) -> Answer:
        """The same, to the API whose upstream key Keyrack keeps."""
        return self.ask(name, *asked, **{"target": "/chat/7", **more})


@pytest.fixture(scope="session")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, House], Front]]:
    """Each proxy in front of a house, started when it is first asked for."""
    started: dict[str, Front] = {}
    with ExitStack() as stack:

        def front(name: str, house: House) -> Front:
            if name not in started:
                folder = tmp_path_factory.mktemp(name)
                started[name] = stack.enter_context(FRONTS[name](folder, **house.around))
            return started[name]

        yield front


@pytest.fixture(params=FRONTS)
def street(
    request: pytest.FixtureRequest, fronts: Callable[[str, House], Front], shared_house: House
) -> Street:
    """Each proxy in turn, before an application that has seen nothing yet."""
    front = fronts(request.param, shared_house)
    shared_house.app.forget()
    return Street(front, shared_house)
