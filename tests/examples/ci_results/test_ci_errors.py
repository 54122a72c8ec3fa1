"""Errors: derived from what the status is derived from, listed, counted, and never cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from ci_bed import Ci, Claimed, Clock, RegressionTest, digest, environment, problem
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert

from examples.ci_results.enumerations import (
    ErrorGroup,
    Origin,
    Role,
    SampleStatus,
    Stage,
    Verdict,
)
from examples.ci_results.models import catalogue, results, runs, tables
from examples.ci_results.models.errors import MAX_SAMPLES, ErrorFilter
from examples.ci_results.services import statuses

AT = "2030-01-01T12:00:00Z"


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


def begun(ci: Ci, *tests: RegressionTest) -> Claimed:
    ci.queued(*tests)
    run = ci.claim()
    run.begin()
    return run


def differ(run: Claimed, test: RegressionTest, name: str) -> None:
    answer = run.report("upload", b"other\n", test_id=test.id, test_file_id=test.outputs[name])
    assert answer.status_code == 200


def failing(ci: Ci, clock: Clock) -> tuple[int, RegressionTest, RegressionTest]:
    """A run with every kind of error, and much that is none."""
    outputs = {"a.txt": "a", "b.txt": "b", "c.log": "c"}
    one = ci.test("one", outputs=outputs, ignored=["c.log"])
    two = ci.test("two", outputs=outputs)
    good, unreported = ci.test("good"), ci.test("unreported")
    run = begun(ci, one, two, good, unreported)
    differ(run, one, "b.txt")
    differ(run, one, "c.log")
    run.finish(one, code=3, matching=False)
    clock.pass_time(minutes=1)
    differ(run, two, "a.txt")
    differ(run, two, "b.txt")
    run.report("equality", test_id=two.id, test_file_id=two.outputs["c.log"])
    run.finish(two, matching=False)
    run.finish(good)
    differ(run, unreported, "out.txt")
    return run.id, one, two


@pytest.mark.spec("CI-62", "CI-67")
def test_errors_are_derived_from_what_was_reported(ci: Ci, token: str, clock: Clock) -> None:
    run_id, one, two = failing(ci, clock)
    a, b = one.outputs["a.txt"], one.outputs["b.txt"]
    page = ci.get(f"/runs/{run_id}/errors", token).json()
    assert page["pagination"] == {"limit": 50, "offset": 0, "total": 5, "next_offset": None}
    assert page["data"][0] == {
        "error_id": f"err_{run_id}_{one.id}_rc",
        "run_id": run_id,
        "sample_id": one.sample_id,
        "regression_id": one.id,
        "type": "exit_code_mismatch",
        "severity": "error",
        "message": "The exit code is 3 and not 0.",
        "location": None,
        "occurred_at": AT,
    }
    assert page["data"][1] == {
        "error_id": f"err_{run_id}_{one.id}_{a}_missing",
        "run_id": run_id,
        "sample_id": one.sample_id,
        "regression_id": one.id,
        "type": "missing_output",
        "severity": "error",
        "message": "The output a.txt is missing.",
        "location": "a.txt",
        "occurred_at": AT,
    }
    shown = [(row["error_id"], row["severity"], row["occurred_at"]) for row in page["data"][2:]]
    later = "2030-01-01T12:01:00Z"
    assert shown == [
        (f"err_{run_id}_{one.id}_{b}_diff", "warning", AT),
        (f"err_{run_id}_{two.id}_{two.outputs['a.txt']}_diff", "warning", later),
        (f"err_{run_id}_{two.id}_{two.outputs['b.txt']}_diff", "warning", later),
    ]
    assert ci.get(f"/runs/{run_id}/errors", token).json() == page
    assert ci.get(f"/runs/{run_id}/summary", token).json()["error_count"] == 5


@pytest.mark.spec("CI-62")
def test_errors_are_filtered_and_paged(ci: Ci, token: str, clock: Clock) -> None:
    run_id, one, two = failing(ci, clock)
    whole = ci.get(f"/runs/{run_id}/errors", token).json()["data"]

    def found(**query: Any) -> Any:
        body = ci.get(f"/runs/{run_id}/errors", token, params=query).json()
        assert body["pagination"]["total"] >= len(body["data"])
        return body["data"]

    for name, value in (
        ("type", "exit_code_mismatch"),
        ("type", "missing_output"),
        ("type", "diff_mismatch"),
        ("severity", "error"),
        ("severity", "warning"),
        ("severity", "critical"),
        ("sample_id", one.sample_id),
        ("sample_id", two.sample_id),
        ("sample_id", 99),
    ):
        assert found(**{name: value}) == [row for row in whole if row[name] == value]
    assert [row for offset in range(0, 6, 2) for row in found(limit=2, offset=offset)] == whole
    both = ci.get(f"/runs/{run_id}/errors?severity=warning&sample_id={two.sample_id}&limit=1", token).json()
    assert both["pagination"] == {"limit": 1, "offset": 0, "total": 2, "next_offset": 1}


@pytest.mark.spec("CI-64", "CI-67")
def test_errors_are_counted_by_what_they_have_in_common(ci: Ci, token: str, clock: Clock) -> None:
    run_id, one, two = failing(ci, clock)
    both = [one.sample_id, two.sample_id]
    later = "2030-01-01T12:01:00Z"

    def found(**query: Any) -> list[tuple[Any, ...]]:
        rows = ci.get(f"/runs/{run_id}/error-summary", token, params=query).json()["data"]
        names = ("key", "count", "severity", "sample_ids", "first_seen_at", "last_seen_at")
        assert all(row["group_by"] == query.get("group_by", "type") for row in rows)
        return [tuple(row[name] for name in names) for row in rows]

    by_type = [
        ("diff_mismatch", 3, "warning", both, AT, later),
        ("exit_code_mismatch", 1, "error", both[:1], AT, AT),
        ("missing_output", 1, "error", both[:1], AT, AT),
    ]
    assert found() == found(group_by="type") == by_type
    assert found(limit=1, offset=1) == by_type[1:2]
    assert found(group_by="severity") == [
        ("warning", 3, "warning", both, AT, later),
        ("error", 2, "error", both[:1], AT, AT),
    ]
    assert found(group_by="sample_id") == [
        (str(one.sample_id), 3, "error", both[:1], AT, AT),
        (str(two.sample_id), 2, "warning", both[1:], later, later),
    ]
    assert found(group_by="regression_id") == [
        (str(one.id), 3, "error", both[:1], AT, AT),
        (str(two.id), 2, "warning", both[1:], later, later),
    ]
    assert found(group_by="sample_id", severity="error") == [
        (str(one.sample_id), 2, "error", both[:1], AT, AT)
    ]
    pages = ci.get(f"/runs/{run_id}/error-summary?limit=2", token).json()["pagination"]
    assert pages == {"limit": 2, "offset": 0, "total": 3, "next_offset": 2}


@pytest.mark.spec("CI-62", "CI-63", "CI-64")
@pytest.mark.parametrize("part", ["errors", "infrastructure-errors", "error-summary"])
def test_a_run_without_errors_has_an_empty_list_and_an_unknown_one_is_404(
    ci: Ci, token: str, part: str
) -> None:
    ci.test()
    run_id = ci.queued()
    body = ci.get(f"/runs/{run_id}/{part}", token).json()
    assert body == {"data": [], "pagination": {"limit": 50, "offset": 0, "total": 0, "next_offset": None}}
    assert problem(ci.get(f"/runs/99/{part}", token)) == (404, "not_found")


@pytest.mark.spec("CI-62", "CI-63", "CI-64", "CI-12")
def test_wrong_queries_of_errors_are_400(ci: Ci) -> None:
    token = ci.full_token("root", Role.ADMIN)
    for path in (
        "errors?type=worker",
        "errors?severity=info",
        "errors?sample_id=0",
        "errors?cursor=1",
        "errors?group_by=type",
        "infrastructure-errors?type=missing_output",
        "infrastructure-errors?include_stack=maybe",
        "infrastructure-errors?sample_id=1",
        "error-summary?group_by=platform",
        "error-summary?type=worker",
        "error-summary?limit=0",
    ):
        assert problem(ci.get(f"/runs/1/{path}", token)) == (400, "validation_error"), path


@pytest.mark.spec("CI-62", "CI-63", "CI-64")
def test_each_list_of_errors_needs_its_scope(ci: Ci) -> None:
    ci.person("bob")
    results, system = ci.token("bob", "results:read"), ci.token("bob", "system:read")
    for part, right, wrong in (
        ("errors", results, system),
        ("error-summary", results, system),
        ("infrastructure-errors", system, results),
    ):
        assert ci.get(f"/runs/9/{part}", right).status_code == 404
        assert problem(ci.get(f"/runs/9/{part}", wrong)) == (403, "forbidden")


def canceled(ci: Ci, message: str, *, origin: Origin, error_type: str | None = None) -> int:
    """A run that ended like this."""
    run_id = ci.queued()
    with ci.service.database.write() as connection:
        runs.note_progress(
            connection,
            run_id,
            Stage.CANCELED,
            origin=origin,
            at=ci.clock(),
            message=message,
            error_type=error_type,
        )
        statuses.settle_run(connection, run_id)
    return run_id


WORDS = {
    "vm_provisioning": ("Provisioning failed", "the VM is gone", "no instance"),
    "checkout": ("checkout failed", "could not CLONE", "fetch: no such ref"),
    "merge": ("cannot merge", "a Conflict"),
    "build": ("the build broke", "does not compile", "make: error 2"),
    "worker": ("the worker died", "Timeout", "connection reset", "nothing known"),
    "storage": ("storage full", "no space on disk", "no such bucket"),
}


@pytest.mark.spec("CI-63", "CI-68")
def test_the_type_of_an_infrastructure_error_follows_from_its_message(ci: Ci) -> None:
    ci.test()
    said = {
        canceled(ci, message, origin=Origin.WORKER): (kind, message)
        for kind, messages in WORDS.items()
        for message in messages
    }
    both = canceled(ci, "disk full while the build was made on the vm", origin=Origin.SERVICE)
    said[both] = ("vm_provisioning", "disk full while the build was made on the vm")
    told = canceled(ci, "the vm is gone", origin=Origin.WORKER, error_type="storage")
    said[told] = ("storage", "the vm is gone")
    found = {}
    for run_id in said:
        ((error,), total) = ci.service.errors.infrastructure(run_id, None, None, limit=50, offset=0)
        assert (total, error.severity) == (1, "critical")
        found[run_id] = (error.type.value, error.message)
    assert found == said


@pytest.mark.spec("CI-63", "CI-68")
def test_an_infrastructure_error_is_shown(ci: Ci, token: str) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    run.begin()
    run.report("progress", status="canceled", message="no space\nat line 7", error_type="storage")
    path = f"/runs/{run.id}/infrastructure-errors"
    (error,) = ci.get(path, token).json()["data"]
    assert error.pop("error_id").startswith(f"err_{run.id}_event_")
    assert error == {
        "run_id": run.id,
        "sample_id": None,
        "regression_id": None,
        "type": "storage",
        "severity": "critical",
        "message": "no space",
        "location": None,
        "occurred_at": AT,
    }
    for query, total in (
        ("type=storage", 1),
        ("type=worker", 0),
        ("severity=critical", 1),
        ("severity=error", 0),
        ("limit=1&offset=1", 1),
    ):
        assert ci.get(f"{path}?{query}", token).json()["pagination"]["total"] == total, query
    assert ci.get(f"{path}?limit=1&offset=1", token).json()["data"] == []


@pytest.mark.spec("CI-68")
def test_what_a_user_canceled_is_no_error_whatever_they_say(ci: Ci, token: str) -> None:
    ci.test()
    run_id = ci.queued()
    body = {"reason": "worker timeout, storage disk full"}
    assert ci.post(f"/runs/{run_id}/cancel", ci.full_token("tess", Role.TESTER), json=body).status_code == 202
    assert ci.get(f"/runs/{run_id}/infrastructure-errors", token).json()["data"] == []


@pytest.mark.spec("CI-68", "CI-85")
def test_a_run_that_the_service_canceled_is_an_error_of_the_worker(ci: Ci, token: str, clock: Clock) -> None:
    ci.test()
    ci.queued()
    run = ci.claim()
    clock.pass_time(hours=24)
    ci.service.leases.cancel_overdue()
    (error,) = ci.get(f"/runs/{run.id}/infrastructure-errors", ci.token("ann")).json()["data"]
    assert (error["type"], error["occurred_at"]) == ("worker", "2030-01-02T12:00:00Z")


@pytest.mark.spec("CI-68")
def test_a_completed_run_that_lacks_results_is_an_error_of_the_worker(ci: Ci, token: str) -> None:
    one = ci.test("one")
    for name in ("two", "three"):
        ci.test(name)
    run = begun(ci)
    run.finish(one)
    path = f"/runs/{run.id}/infrastructure-errors"
    assert ci.get(path, token).json()["data"] == []
    run.complete()
    (error,) = ci.get(f"{path}?type=worker", token).json()["data"]
    assert (error["error_id"], error["severity"]) == (f"err_{run.id}_incomplete", "critical")
    assert "2 tests" in error["message"]
    whole = begun(ci, one)
    whole.finish(one, code=1)
    whole.complete()
    assert ci.get(f"/runs/{whole.id}/infrastructure-errors", token).json()["data"] == []


@pytest.mark.spec("CI-63")
@pytest.mark.parametrize("role", Role)
def test_stacks_are_for_admins_and_contributors(ci: Ci, role: Role) -> None:
    ci.test()
    run_id = canceled(ci, "it broke\nat a\nat b", origin=Origin.WORKER)
    token = ci.full_token("who", role)
    path = f"/runs/{run_id}/infrastructure-errors"
    (plain,) = ci.get(path, token).json()["data"]
    assert "stack" not in plain
    assert "stack" not in ci.get(f"{path}?include_stack=false", token).json()["data"][0]
    answer = ci.get(f"{path}?include_stack=true", token)
    if role in (Role.ADMIN, Role.CONTRIBUTOR):
        assert answer.json()["data"] == [{**plain, "stack": ["at a", "at b"]}]
        return
    assert problem(answer) == (403, "forbidden")
    assert answer.json()["details"] == {
        "reason": "insufficient_role",
        "required_roles": ["admin", "contributor"],
        "user_role": role.value,
    }


@contextmanager
def statements(ci: Ci) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(*given: Any) -> None:
        if not given[2].startswith(("BEGIN", "SAVEPOINT")):
            sent.append(given[2])

    event.listen(ci.service.database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(ci.service.database.engine, "before_cursor_execute", note)


def failed_with(ci: Ci, count: int) -> int:
    """A run of so many tests, each of a sample of its own, that all ended with a wrong exit code."""
    run_id = ci.queued(ci.test("first"))
    with ci.service.database.write() as connection:
        samples = [
            {"sha": digest(f"{count} {number}"), "extension": "ts", "original_name": f"s{number}.ts"}
            for number in range(count)
        ]
        made = insert(tables.sample).returning(tables.sample.c.id)
        sample_ids = connection.execute(made, samples).scalars().all()
        tests = [catalogue.NewTest(sample_id, "convert")._asdict() for sample_id in sample_ids]
        for test in tests:
            del test["categories"]
        made = insert(tables.regression_test).returning(tables.regression_test.c.id)
        test_ids = connection.execute(made, tests).scalars().all()
        failed = {"run_id": run_id, "exit_code": 1, "expected_rc": 0, "status": SampleStatus.FAIL}
        rows = [{**failed, "regression_test_id": one, "reported_at": ci.clock()} for one in test_ids]
        connection.execute(insert(tables.run_test), rows)
    return run_id


@pytest.mark.spec("CI-13", "CI-62", "CI-64", "CI-67")
def test_no_error_is_left_out_and_a_bucket_names_1000_samples(ci: Ci, token: str) -> None:
    run_id = failed_with(ci, MAX_SAMPLES + 100)
    path = f"/runs/{run_id}/errors"
    last = ci.get(f"{path}?limit=100&offset={MAX_SAMPLES}", token).json()
    assert last["pagination"]["total"] == MAX_SAMPLES + 100
    assert (len(last["data"]), last["pagination"]["next_offset"]) == (100, None)
    (bucket,) = ci.get(f"/runs/{run_id}/error-summary", token).json()["data"]
    assert bucket["count"] == MAX_SAMPLES + 100
    assert len(bucket["sample_ids"]) == MAX_SAMPLES
    assert bucket["sample_ids"] == sorted(set(bucket["sample_ids"]))
    buckets = ci.get(f"/runs/{run_id}/error-summary?group_by=sample_id", token).json()
    assert buckets["pagination"]["total"] == MAX_SAMPLES + 100


@pytest.mark.spec("CI-62", "CI-63", "CI-64", "CI-83")
@pytest.mark.parametrize("part", ["errors", "infrastructure-errors", "error-summary?group_by=sample_id"])
def test_the_statements_for_errors_do_not_grow(ci: Ci, part: str) -> None:
    token = ci.full_token("ann", Role.USER)
    few, many = failed_with(ci, 1), failed_with(ci, 100)
    with statements(ci) as one:
        assert ci.get(f"/runs/{few}/{part}", token).status_code == 200
    with statements(ci) as hundred:
        assert ci.get(f"/runs/{many}/{part}", token).status_code == 200
    assert len(one) == len(hundred) <= 8


class Report(NamedTuple):
    """What was reported of one test; without an exit code it was not finished."""

    exit_code: int | None
    verdicts: tuple[Verdict | None, Verdict | None, Verdict | None]


verdict = st.sampled_from([None, *Verdict])
reports = st.lists(
    st.builds(Report, st.sampled_from([None, 0, 1]), st.tuples(verdict, verdict, verdict)),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ci]:
    """One service for many runs."""
    with Ci(environment(tmp_path_factory.mktemp("ci")), Clock()) as ci:
        yield ci


@pytest.mark.spec("CI-47", "CI-67", "CI-80")
@settings(max_examples=25)
@given(reported=reports)
def test_errors_agree_with_the_summary(shared: Ci, reported: list[Report]) -> None:
    run_id = written(shared, reported)
    summary = shared.service.runs.summary(run_id)
    page, total = shared.service.errors.find(run_id, ErrorFilter(), limit=100, offset=0)
    assert summary.errors == total == len({error.id for error in page})
    for group in ErrorGroup:
        buckets, _ = shared.service.errors.summary(run_id, group, None, limit=100, offset=0)
        assert sum(one.bucket.errors for one in buckets) == total
    counts = summary.counts
    failed = counts.get(SampleStatus.FAIL, 0) + counts.get(SampleStatus.MISSING_OUTPUT, 0)
    assert len({error.regression_id for error in page}) == failed
    assert sum(counts.values()) == len(reported)


def written(ci: Ci, reported: list[Report]) -> int:
    """A run of which all this was reported."""
    named = {"a.txt": "a", "b.txt": "b", "c.log": "c"}
    tests = [ci.test(f"t{n}", outputs=named, ignored=["c.log"]) for n in range(len(reported))]
    run_id = ci.queued(*tests)
    with ci.service.database.write() as connection:
        for test, report in zip(tests, reported, strict=True):
            outputs = results.outputs(connection, run_id, test.id)
            for output, verdict in zip(outputs, report.verdicts, strict=True):
                if verdict is not None:
                    results.write_output(connection, output, got_hash=None, verdict=verdict)
            if report.exit_code is not None:
                results.write_result(
                    connection, run_id, test.id, runtime_ms=1, exit_code=report.exit_code, at=ci.clock()
                )
            statuses.settle_test(connection, run_id, test.id)
    return run_id
