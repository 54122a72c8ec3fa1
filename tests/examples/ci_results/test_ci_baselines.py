"""Approvals: what a run produced is what later runs expect, told of once, one approval after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from ci_bed import Ci, Clock, digest, problem
from output_bed import NAME, Produced, claimed, expecting, matched, produced, reported, sha, upload
from sqlalchemy import select

from examples.ci_results.enumerations import Role
from examples.ci_results.models import accounts, catalogue, tables
from examples.ci_results.models.outputs import OutputPlace


class Approved(NamedTuple):
    """What the audit tells of an approval."""

    actor: str
    target: str
    data: dict[str, Any]


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("root", Role.ADMIN)


def approve(ci: Ci, found: Produced, token: str, **changed: Any) -> Any:
    body = {"regression_id": found.test.id, "output_id": found.test.outputs[NAME], **changed}
    return ci.post(f"/runs/{found.run_id}/samples/{found.test.sample_id}/baseline-approval", token, json=body)


def approvals(ci: Ci) -> list[Approved]:
    """The approvals that the audit tells of, the oldest first."""
    found = select(tables.audit.c.actor, tables.audit.c.target, tables.audit.c.data)
    found = found.where(tables.audit.c.action == "baseline.approved").order_by(tables.audit.c.id)
    with ci.service.database.read() as connection:
        return [Approved(*row) for row in connection.execute(found)]


def expected_now(ci: Ci, found: Produced) -> str:
    with ci.service.database.read() as connection:
        output = catalogue.output(connection, found.test.outputs[NAME])
    assert output is not None
    return output.expected_hash


@pytest.mark.spec("CI-58", "CI-61")
def test_what_was_produced_is_expected_of_later_runs(ci: Ci, token: str, clock: Clock) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    clock.pass_time(minutes=5)
    answer = approve(ci, found, token)
    assert answer.status_code == 200
    assert answer.json() == {
        **found.place,
        "status": "approved",
        "requested_by": "root",
        "created_at": "2030-01-01T12:05:00Z",
    }
    assert ci.get(found.path("expected"), token).json()["sha256"] == sha(b"expected\n")
    assert ci.get(f"/runs/{found.run_id}", token).json()["status"] == "fail"
    later = reported(ci, found.test, b"actual\n")
    assert ci.get(later.path("expected"), token).json()["sha256"] == sha(b"actual\n")
    assert ci.get(f"/runs/{later.run_id}", token).json()["status"] == "pass"


@pytest.mark.spec("CI-61")
def test_an_approval_is_told_of_once_with_both_hashes(ci: Ci, token: str, clock: Clock) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    assert approve(ci, found, token).status_code == 200
    clock.pass_time(minutes=5)
    assert approve(ci, found, token).status_code == 200
    assert expected_now(ci, found) == sha(b"actual\n")
    assert approvals(ci) == [
        Approved(
            "user/root",
            f"output/{found.test.outputs[NAME]}",
            {
                "run_id": found.run_id,
                "old_hash": sha(b"expected\n"),
                "new_hash": sha(b"actual\n"),
                "removed_variants": 0,
            },
        )
    ]


@pytest.mark.spec("CI-61")
def test_variants_stay_accepted_unless_they_are_removed(ci: Ci, token: str) -> None:
    test = expecting(ci, b"expected\n")
    output_id = test.outputs[NAME]
    other = ci.test("two", outputs={NAME: ""})
    with ci.service.database.write() as connection:
        for one in (output_id, other.outputs[NAME]):
            for variant in ("one", "two"):
                catalogue.accept_variant(connection, one, digest(variant))
    found = reported(ci, test, b"actual\n")
    assert approve(ci, found, token).status_code == 200
    assert variants(ci) == {
        (output_id, "one"),
        (output_id, "two"),
        *((other.outputs[NAME], v) for v in VARIANTS),
    }
    for _ in range(2):
        assert approve(ci, found, token, remove_variants=True).status_code == 200
    assert variants(ci) == {(other.outputs[NAME], variant) for variant in VARIANTS}
    assert [one.data["removed_variants"] for one in approvals(ci)] == [0, 2]


VARIANTS = ("one", "two")


def variants(ci: Ci) -> set[tuple[int, str]]:
    """Which output accepts which variant."""
    names = {digest(name): name for name in VARIANTS}
    with ci.service.database.read() as connection:
        rows = connection.execute(select(tables.regression_test_output_variant)).all()
    return {(row[0], names[row[1]]) for row in rows}


@pytest.mark.spec("CI-61")
def test_a_variant_that_was_produced_can_be_approved(ci: Ci, token: str) -> None:
    test = expecting(ci, b"expected\n")
    with ci.service.database.write() as connection:
        catalogue.accept_variant(connection, test.outputs[NAME], sha(b"variant\n"))
    found = reported(ci, test, b"variant\n")
    assert approve(ci, found, token).status_code == 200
    assert expected_now(ci, found) == sha(b"variant\n")


@pytest.mark.spec("CI-58", "CI-61")
def test_what_is_expected_already_or_was_not_produced_is_422(ci: Ci, token: str) -> None:
    test = expecting(ci, b"expected\n")
    unreported = claimed(ci, test)
    upload(unreported, b"actual\n")
    for found in (
        matched(ci, test),
        reported(ci, test, b"expected\n"),
        reported(ci, test, None),
        unreported,
    ):
        assert problem(approve(ci, found, token)) == (422, "unprocessable")
    assert approvals(ci) == []
    assert expected_now(ci, unreported) == sha(b"expected\n")


@pytest.mark.spec("CI-58")
def test_ids_of_an_approval_that_do_not_belong_together_are_404(ci: Ci, token: str) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    other = reported(ci, expecting(ci, b"expected\n", "two"), b"actual\n")
    for wrong in (
        {"regression_id": other.test.id},
        {"output_id": other.test.outputs[NAME]},
        {"output_id": 99},
        {"regression_id": 2**31 - 1},
    ):
        assert problem(approve(ci, found, token, **wrong)) == (404, "not_found")
    for path in (
        f"/runs/99/samples/{found.test.sample_id}",
        f"/runs/{found.run_id}/samples/{other.test.sample_id}",
    ):
        body = {"regression_id": found.test.id, "output_id": found.test.outputs[NAME]}
        assert problem(ci.post(f"{path}/baseline-approval", token, json=body)) == (404, "not_found")
    assert approvals(ci) == []


@pytest.mark.spec("CI-58", "CI-11")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 400),
        ({"json": {"regression_id": 1}}, 400),
        ({"json": {"regression_id": 0, "output_id": 1}}, 400),
        ({"json": {"regression_id": 1, "output_id": 2**31}}, 400),
        ({"json": {"regression_id": "1", "output_id": 1}}, 400),
        ({"json": {"regression_id": True, "output_id": 1}}, 400),
        ({"json": {"regression_id": 1, "output_id": 1, "remove_variants": 1}}, 400),
        ({"json": {"regression_id": 1, "output_id": 1, "more": 1}}, 400),
        ({"data": {"regression_id": "1", "output_id": "1"}}, 415),
        ({"json": {"regression_id": 1, "output_id": 1, "more": "m" * 70_000}}, 413),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_approval_is_refused(ci: Ci, token: str, sent: dict[str, Any], status: int) -> None:
    answer = ci.post("/runs/1/samples/1/baseline-approval", token, **sent)
    assert answer.status_code == status, answer.text


@pytest.mark.spec("CI-58", "CI-24")
def test_only_those_who_hold_the_scope_in_their_role_approve(ci: Ci) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    ci.person("eve", Role.ADMIN)
    for token, reason in (
        (ci.full_token("ann", Role.USER), "insufficient_scope"),
        (ci.full_token("tess", Role.TESTER), "insufficient_scope"),
        (ci.token("eve", "results:read"), "insufficient_scope"),
    ):
        answer = approve(ci, found, token)
        assert problem(answer) == (403, "forbidden")
        assert answer.json()["details"]["reason"] == reason
    assert approvals(ci) == []
    assert approve(ci, found, ci.full_token("carl", Role.CONTRIBUTOR)).status_code == 200


@pytest.mark.spec("CI-61")
def test_approvals_at_the_same_time_come_one_after_the_other(shared_ci: Ci) -> None:
    ci = shared_ci
    ci.person("root", Role.ADMIN)
    test = expecting(ci, b"expected\n")
    runs = [reported(ci, test, b"actual %d\n" % number) for number in range(4)]
    with ci.service.database.read() as connection:
        account = accounts.by_name(connection, "root")
    assert account is not None

    def approved(found: Produced) -> object:
        place = OutputPlace(**found.place)
        return ci.service.baselines.approve(place, account, remove_variants=False)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(approved, runs * 3))
    told = approvals(ci)
    steps = [(one.data["old_hash"], one.data["new_hash"]) for one in told]
    assert [old for old, _ in steps] == [sha(b"expected\n"), *(new for _, new in steps[:-1])]
    assert all(old != new for old, new in steps)
    assert {new for _, new in steps} == {sha(b"actual %d\n" % number) for number in range(4)}
    assert expected_now(ci, runs[0]) == steps[-1][1]
