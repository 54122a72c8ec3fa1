"""No route hides another: every path is of one operation, in whatever order the routes stand."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.routing import APIRoute
from server.server_bed import House, problem
from session_bed import M1
from starlette.routing import Match
from upstream_bed import GROUP, api, group, key

from keyrack.server import routes as package
from keyrack.settings import Settings

NAMES = ("rotation", "versions", "history", "promote", "credits", "apis", "me", "credit-balances", "v1", "x")
"""What groups, users and APIs may be called, though it is a word of some path."""


ROUTERS = [
    importlib.import_module(f"{package.__name__}.{module.name}").router
    for module in pkgutil.iter_modules(package.__path__)
]
ROUTES: list[APIRoute] = [one for router in ROUTERS for one in router.routes]


def matching(method: str, path: str) -> list[APIRoute]:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "path_params": {}}
    return [one for one in ROUTES if one.matches(scope)[0] is Match.FULL]


@pytest.mark.spec("UG-1")
def test_every_path_is_of_one_route_whatever_stands_for_its_names() -> None:
    wrong = []
    for route in ROUTES:
        for name in NAMES:
            path = route.path_format.format(**dict.fromkeys(route.param_convertors, name))
            for method in route.methods:
                found = matching(method, path)
                if found != [route]:
                    wrong.append((method, path, [one.path for one in found]))
    assert wrong == []
    assert len(ROUTES) > 40


CALLS: list[tuple[str, str, Any, int]] = [
    ("POST", "/v1/credits", group(), 201),
    ("GET", "/v1/credits", None, 200),
    ("GET", f"/v1/credits/{GROUP}", None, 200),
    ("PUT", f"/v1/credits/{GROUP}", {"api_key_header": "x-api-key"}, 200),
    ("POST", "/v1/apis", api(), 201),
    ("GET", "/v1/apis", None, 200),
    ("GET", "/v1/apis/chat/v1", None, 200),
    ("PUT", "/v1/apis/chat/v1", {"active": False}, 200),
    ("POST", f"/v1/credits/{GROUP}/rotation", {"api_key_new": key(2)}, 201),
    ("GET", f"/v1/credits/{GROUP}/rotation", None, 200),
    ("PATCH", f"/v1/credits/{GROUP}/rotation", {"rollout_percent": 25}, 200),
    ("POST", f"/v1/credits/{GROUP}/rotation/promote", None, 200),
    ("POST", f"/v1/credits/{GROUP}/rotation/undo", None, 200),
    ("POST", f"/v1/credits/{GROUP}/rotation/abort", None, 200),
    ("GET", f"/v1/credits/{GROUP}/versions", None, 200),
    ("GET", f"/v1/credits/{GROUP}/history", None, 200),
    ("DELETE", "/v1/apis/chat/v1", None, 204),
    ("DELETE", f"/v1/credits/{GROUP}", None, 204),
]


@pytest.fixture(params=range(5))
def shuffled(
    portal: BlockingPortal, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A server whose routes stand in another order, within each router and between them."""
    chosen = random.Random(request.param)
    for router in ROUTERS:
        monkeypatch.setattr(router, "routes", chosen.sample(router.routes, len(router.routes)))
    made = House(portal, settings=Settings(master_keys=M1))
    chosen.shuffle(inner(made.app).router.routes)
    yield made
    made.verifier.close()


def inner(app: Any) -> FastAPI:
    """The framework's application inside of all that stands in front of it."""
    while not isinstance(app, FastAPI):
        app = vars(app)["_app"]
    return app


@pytest.mark.spec("UG-1")
def test_every_operation_works_in_any_order_of_the_routes(shuffled: House) -> None:
    called = [
        (method, path, shuffled.root(method, path, body).status_code) for method, path, body, _ in CALLS
    ]
    assert called == [(method, path, status) for method, path, _, status in CALLS]


@pytest.mark.spec("UG-1")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "v1"])
def test_a_group_may_be_called_like_a_word_of_a_path(house: House, name: str) -> None:
    assert house.root("POST", "/v1/credits", group(api_credit_group=name)).status_code == 201
    assert house.root("GET", f"/v1/credits/{name}").json()["api_credit_group"] == name
    assert house.root("GET", f"/v1/credits/{name}/rotation").json()["state"] == "none"
    assert problem(house.root("GET", f"/v1/credits/{name}/{name}x")) == (404, "not_found")
