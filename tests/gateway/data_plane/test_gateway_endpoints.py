"""Which endpoint a path comes to, where servers behind the gateway differ in how they read it."""

from __future__ import annotations

import pytest

from keyrack.core.upstream import Endpoint
from keyrack.gateway.endpoints import Endpoints

READ, ADMIN = "app:read", "app:admin"
ENDPOINTS = Endpoints(
    [
        Endpoint("GET", "/admin", ADMIN),
        Endpoint("GET", "/{name}", READ),
        Endpoint("GET", "/files/{name}", READ),
        Endpoint("GET", "/files/{name}/raw", READ, cost=5),
    ]
)


@pytest.mark.spec("UG-42")
@pytest.mark.parametrize("path", ["/admin;x", "/admin;x=1;y", "/ADMIN;x"])
def test_what_a_server_takes_for_another_endpoint_without_its_parameters_is_none(path: str) -> None:
    assert (ENDPOINTS.find("GET", path), ENDPOINTS.methods(path)) == (None, [])


@pytest.mark.spec("UG-42")
def test_parameters_that_lead_nowhere_else_pass() -> None:
    found = [ENDPOINTS.find("GET", path) for path in ("/map;zoom=1", "/files/a;b", "/files/a;b/raw")]
    assert [one and one.uri for one in found] == ["/{name}", "/files/{name}", "/files/{name}/raw"]
