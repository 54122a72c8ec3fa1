"""One decision in every shape: the same status, headers and body for the same credential and access."""

from __future__ import annotations

import pytest
from guards.bed import Answer, Bed

from keyrack import Reason
from keyrack.core.http import ANSWERS
from parity.cases import WORLDS, presented
from parity.shapes import REALM, SHAPES, Shape


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]()


@pytest.fixture(params=Reason)
def reason(request: pytest.FixtureRequest) -> Reason:
    chosen: Reason = request.param
    return chosen


def refused(shape: Shape, reason: Reason) -> Answer:
    """The answer of a shape to the request that is refused for this reason, and for no other."""
    verifier, case = WORLDS[reason]()
    shape.open(verifier)
    answer = shape.ask(case)
    assert [decision.reason for decision, *_ in verifier.notebook._notes] == [reason]
    return answer


def test_every_reason_has_a_world() -> None:
    assert set(WORLDS) == set(Reason)


def test_every_shape_refuses_alike(shape: Shape, reason: Reason) -> None:
    ours, reference = refused(shape, reason), refused(next(iter(SHAPES.values()))(), reason)
    assert ours.status == reference.status
    assert sorted(ours.headers) == sorted(reference.headers)
    assert ours.body == reference.body


@pytest.mark.spec("CO-11")
def test_every_shape_answers_by_the_table(shape: Shape, reason: Reason) -> None:
    answer, row = refused(shape, reason), ANSWERS[reason]
    assert (answer.status, answer.code) == (row.status, row.code)
    assert answer.json()["detail"] == row.detail
    assert answer.header("x-request-id") == "parity-1"
    challenge = f'Bearer realm="{REALM}"' + ("" if reason is Reason.MISSING else ', error="invalid_token"')
    assert answer.header("www-authenticate") == (challenge if row.status == 401 else None)
    assert (answer.header("retry-after") is not None) == (row.status == 429)
    assert (answer.header("ratelimit") is not None) == (row.status == 429)


def test_every_shape_lets_the_same_request_pass(shape: Shape) -> None:
    bed = Bed()
    verifier, case = presented(bed, bed.text("logs:read"))
    shape.open(verifier)
    assert shape.ask(case).status < 400
