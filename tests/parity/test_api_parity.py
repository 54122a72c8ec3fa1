"""One decision by the document of an API as by a row of the library: for the gateway and every proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from guards.bed import Answer, Bed
from proxy.application import Application, application

from keyrack import Reason
from keyrack.core.http import ANSWERS
from parity.api_shapes import API_SHAPES
from parity.cases import WORLDS, presented
from parity.shapes import AsgiGuard, Shape
from parity.test_parity import noted, refused

CANNOT = frozenset({Reason.TENANT})
"""An API is of the key's own tenant."""
SAID = {"www-authenticate", "cache-control", "content-type", "retry-after", "ratelimit", "ratelimit-policy"}
SAID |= {f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset")}
every_shape = pytest.mark.parametrize("name", API_SHAPES)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Application]:
    with application() as standing:
        yield standing


def opened(name: str, upstream: Application) -> Shape:
    return API_SHAPES[name](upstream.port)


def told(answer: Answer) -> dict[str, Any]:
    """All that a decision says, without what names the request or the part of Keyrack that decided."""
    document = answer.json()
    details = {name: value for name, value in document["details"].items() if name != "gateway_code"}
    headers = {
        name: value for name, value in answer.headers if name in SAID or name.startswith("x-ratelimit")
    }
    return {**document, "details": details, "request_id": None, "headers": headers}


@pytest.mark.spec("UG-55")
@every_shape
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in CANNOT])
def test_the_gateway_and_every_proxy_refuse_as_the_library_does(
    upstream: Application, name: str, reason: Reason
) -> None:
    upstream.forget()
    ours, reference = refused(opened(name, upstream), reason), refused(AsgiGuard(), reason)
    assert (ours.status, ours.code) == (ANSWERS[reason].status, ANSWERS[reason].code)
    assert ours.status == reference.status
    assert told(ours) == told(reference)
    assert upstream.seen == []


@pytest.mark.spec("UG-55")
@every_shape
def test_the_gateway_and_every_proxy_let_the_same_request_pass(upstream: Application, name: str) -> None:
    bed = Bed()
    verifier, case = presented(bed, bed.text("logs:read"))
    shape = opened(name, upstream)
    shape.open(verifier)
    assert shape.ask(case).status < 400
    assert noted(verifier) == []


def test_every_reason_is_asked_of_all() -> None:
    assert set(WORLDS) == set(Reason)
    assert set(API_SHAPES) == {"gateway", "nginx", "caddy", "traefik", "envoy"}
