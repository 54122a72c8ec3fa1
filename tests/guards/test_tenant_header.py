"""A request may name its tenant in a header: the key's own, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from guards.bed import ASGI, BY, PEER, Bed, Protocols, call_asgi
from keyrack import Access
from keyrack.core.errors import ConfigurationError
from keyrack.guards import LATER, Row

ROWS = (Row("GET", "/logs", Access(("logs:read",))), Row("POST", "/logs", LATER))


@pytest.fixture
def text(bed: Bed) -> str:
    bed.verifier.tenants().create("acme", by=BY)
    return bed.text("logs:read", tenant="acme")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("named", "passes"),
    [
        ([], True),
        (["acme"], True),
        (["other"], False),
        (["default"], False),
        (["ACME"], False),
        ([""], False),
        (["acme", "acme"], False),
        (["acme,other"], False),
        (["\xe9"], False),
    ],
)
def test_only_the_tenant_of_the_key_may_be_named(
    bed: Bed, protocol: Protocols, text: str, *, named: list[str], passes: bool, method: str
) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, tenant_header="X-Tenant")
    headers = [("x-api-key", text), *(("x-tenant", name) for name in named)]
    answer = protocol.call(guard, method, "/logs", headers)
    if passes:
        assert answer.status == (200 if method == "GET" else 503)  # nobody asked for the LATER one
    else:
        assert (answer.status, answer.code) == (403, "tenant_mismatch")


def test_without_the_option_the_header_means_nothing(bed: Bed, protocol: Protocols, text: str) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS)
    answer = protocol.call(guard, "GET", "/logs", [("x-api-key", text), ("x-tenant", "other")])
    assert answer.status == 200


def test_the_tenant_is_compared_behind_a_trusted_proxy_too(bed: Bed, protocol: Protocols, text: str) -> None:
    guard = protocol.guard(
        protocol.echo, bed.verifier, ROWS, tenant_header="X-Tenant", trusted_proxies=[PEER]
    )
    answer = protocol.call(guard, "GET", "/logs", [("x-api-key", text), ("x-tenant", "other")])
    assert (answer.status, answer.code) == (403, "tenant_mismatch")


def test_nobody_without_a_key_learns_of_tenants(bed: Bed, protocol: Protocols, text: str) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, ROWS, tenant_header="X-Tenant")
    answers = [
        protocol.call(guard, "GET", "/logs", [("x-tenant", name), ("x-request-id", "r1")])
        for name in ("acme", "other")
    ]
    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].body == answers[1].body


def test_a_later_row_may_name_a_service_which_is_asked_for_before_the_handler(
    bed: Bed, protocol: Protocols, text: str
) -> None:
    guard = protocol.guard(protocol.echo, bed.verifier, [Row("POST", "/logs", LATER, "ingest")])
    assert protocol.call(guard, "POST", "/logs", [("x-api-key", text)]).status == 503
    bed.verifier.tenants().suspend("acme", "ingest", by=BY)
    answer = protocol.call(guard, "POST", "/logs", [("x-api-key", text)])
    assert (answer.status, answer.code) == (403, "tenant_suspended")


def test_an_access_names_its_service_itself() -> None:
    with pytest.raises(ConfigurationError, match="names a service"):
        Row("GET", "/logs", Access(("logs:read",)), "ingest")


def test_later_rows_of_different_services_are_not_one(bed: Bed, protocol: Protocols) -> None:
    rows = [Row("POST", "/{a}/x", LATER, "ingest"), Row("POST", "/x/{b}", LATER, "query")]
    with pytest.raises(ConfigurationError, match="different things"):
        protocol.guard(protocol.echo, bed.verifier, rows)


def test_what_a_key_holds_can_be_asked_without_being_spent(bed: Bed) -> None:
    held = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        key = scope["state"]["key"]
        held.extend([key.holds("streams/web:query"), key.holds("streams/web:ingest")])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = ASGI.guard(app, bed.verifier, [Row("GET", "/logs", LATER)])
    call_asgi(guard, "GET", "/logs", [("x-api-key", bed.text("streams/*:query"))])
    assert held == [True, False]
    assert bed.noted() == []
