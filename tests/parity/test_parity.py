"""One decision in every shape: the same status, headers and body for the same credential and access."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guards.bed import Answer, Bed
from patience import eventually

from keyrack import Denied, Reason, Verifier
from keyrack.core.http import ANSWERS
from keyrack.stores.journal import Notebook
from parity.cases import ROW, WORLDS, presented
from parity.remote_shape import REMOTE_CANNOT, REMOTE_SHAPES
from parity.server_shapes import CANNOT, SERVER_SHAPES, Stage, ThroughNginx, standing_stage
from parity.shapes import REALM, SHAPES, Shape

ALL = SHAPES | SERVER_SHAPES | REMOTE_SHAPES
NEVER = CANNOT | REMOTE_CANNOT
ASKED = [(name, reason) for name in ALL for reason in Reason if reason not in NEVER.get(name, ())]
every_refusal = pytest.mark.parametrize(
    ("shape", "reason"), ASKED, indirect=["shape"], ids=[f"{name}-{reason}" for name, reason in ASKED]
)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    (scope,) = ROW.access.scopes
    with standing_stage(tmp_path_factory.mktemp("nginx"), scope=scope) as standing:
        yield standing


@pytest.fixture(params=ALL)
def shape(request: pytest.FixtureRequest) -> Shape:
    made = ALL[request.param]
    return made(request.getfixturevalue("stage")) if made is ThroughNginx else made()


def refused(shape: Shape, reason: Reason) -> Answer:
    """The answer of a shape to the request that is refused for this reason, and for no other."""
    verifier, case = WORLDS[reason]()
    shape.open(verifier)
    answer = shape.ask(case)
    assert eventually(lambda: noted(verifier) or noted(shape)) == [reason]
    return answer


def noted(verifier: Verifier | Shape) -> list[Reason]:
    """The reasons of all denials so far; those first that upkeep has written to the journal meanwhile.

    A shape with a notebook of its own keeps what it decides without the verifier.
    """
    notebook = getattr(verifier, "notebook", None) or Notebook()
    written = [Reason(label) for label in notebook.totals.elements() if label != "allowed"]
    waiting = [decision for decision, *_ in list(notebook._notes)]
    return written + [decision.reason for decision in waiting if isinstance(decision, Denied)]


def test_every_reason_has_a_world() -> None:
    assert set(WORLDS) == set(Reason)


@every_refusal
def test_every_shape_refuses_alike(shape: Shape, reason: Reason) -> None:
    ours, reference = refused(shape, reason), refused(next(iter(SHAPES.values()))(), reason)
    assert ours.status == reference.status
    assert sorted(ours.headers) == sorted(reference.headers)
    assert ours.body == reference.body


@pytest.mark.spec("CO-11")
@every_refusal
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
