"""The files of outputs: what was expected, what was produced, and how much of each is shown."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from ci_bed import Ci, problem
from output_bed import NAME, claimed, expecting, keep, matched, produced, reported, sha, upload

from examples.ci_results.enumerations import Role
from examples.ci_results.models import catalogue
from examples.ci_results.services import layout

LIMIT = 1024 * 1024


@pytest.fixture
def token(ci: Ci) -> str:
    return ci.full_token("ann", Role.USER)


@pytest.mark.spec("CI-55")
def test_the_expected_output_is_shown(ci: Ci, token: str) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    body = ci.get(found.path("expected"), token).json()
    assert body.pop("download_url").startswith("/api/v1/downloads/")
    assert body == {
        **found.place,
        "filename": NAME,
        "content_type": "application/octet-stream",
        "encoding": "base64",
        "content": base64.b64encode(b"expected\n").decode(),
        "truncated": False,
        "sha256": sha(b"expected\n"),
        "storage_status": "ok",
    }
    text = ci.get(found.path("expected?format=text"), token).json()
    assert (text["encoding"], text["content"]) == ("utf-8", "expected\n")
    assert ci.get(found.path("expected?format=base64"), token).json()["encoding"] == "base64"


@pytest.mark.spec("CI-55")
def test_the_expected_output_is_shown_before_the_test_reported(ci: Ci, token: str) -> None:
    found = claimed(ci, expecting(ci, b"expected\n"))
    assert ci.get(found.path("expected"), token).json()["sha256"] == sha(b"expected\n")


@pytest.mark.spec("CI-56")
def test_what_was_produced_is_shown(ci: Ci, token: str) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    body = ci.get(found.path("actual?format=text"), token).json()
    assert (body["content"], body["sha256"]) == ("actual\n", sha(b"actual\n"))
    assert ci.get(body["download_url"], token).content == b"actual\n"
    assert {name: body[name] for name in found.place} == found.place


@pytest.mark.spec("CI-56")
@pytest.mark.parametrize("said", ["equal", "the same content"])
@pytest.mark.parametrize("shown_as", ["base64", "text"])
def test_matched_output_redirect_is_relative(ci: Ci, token: str, said: str, shown_as: str) -> None:
    test = expecting(ci, b"expected\n")
    found = matched(ci, test) if said == "equal" else reported(ci, test, b"expected\n")
    answer = ci.get(found.path(f"actual?format={shown_as}"), token)
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location == f"/api/v1{found.path('expected')}?format={shown_as}"
    assert ci.get(location, token).json()["sha256"] == sha(b"expected\n")


@pytest.mark.spec("CI-56")
def test_an_accepted_variant_is_shown_as_it_was_produced(ci: Ci, token: str) -> None:
    test = expecting(ci, b"expected\n")
    with ci.service.database.write() as connection:
        catalogue.accept_variant(connection, test.outputs[NAME], sha(b"variant\n"))
    found = reported(ci, test, b"variant\n")
    assert ci.get(found.path("actual?format=text"), token).json()["content"] == "variant\n"


@pytest.mark.spec("CI-10", "CI-56", "CI-65")
def test_route_codes_survive(ci: Ci, token: str) -> None:
    test = expecting(ci, b"expected\n")
    unreported, missing = claimed(ci, test), reported(ci, test, None)
    upload(unreported, b"actual\n")
    refused = {
        unreported.path("actual"): ("not_found", "The test has not reported yet."),
        missing.path("actual"): ("missing_output", "The test reported without this output."),
        missing.path("expected", output_id=99): (
            "not_found",
            "There is no such output of such a test in such a run.",
        ),
        f"/runs/{missing.run_id}/logs": ("log_not_found", "There is no log of this."),
        "/runs/99": ("not_found", "There is no run of this id."),
    }
    answers = {path: ci.get(path, token) for path in refused}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(refused, 404)
    bodies = {path: answer.json() for path, answer in answers.items()}
    assert {path: (body["code"], body["message"]) for path, body in bodies.items()} == refused


@pytest.mark.spec("CI-55", "CI-56", "CI-57")
@pytest.mark.parametrize("part", ["expected", "actual", "diff"])
def test_ids_that_do_not_belong_together_are_404(ci: Ci, token: str, part: str) -> None:
    one, two = expecting(ci, b"expected\n"), expecting(ci, b"expected\n", "two")
    found, other = reported(ci, one, b"actual\n"), reported(ci, two, b"actual\n")
    assert ci.get(found.path(part), token).status_code == 200
    for name, value in other.place.items():
        assert problem(ci.get(found.path(part, **{name: value}), token)) == (404, "not_found"), name
        assert problem(ci.get(found.path(part, **{name: 99}), token)) == (404, "not_found"), name
        assert problem(ci.get(found.path(part, **{name: 0}), token)) == (400, "validation_error"), name
        assert problem(ci.get(found.path(part, **{name: "x"}), token)) == (400, "validation_error"), name


@pytest.mark.spec("CI-55", "CI-56", "CI-12")
@pytest.mark.parametrize("query", ["format=xml", "format=text&format=text", "more=1", "format="])
def test_a_wrong_query_of_an_output_is_400(ci: Ci, token: str, query: str) -> None:
    for part in ("expected", "actual"):
        path = f"/runs/9/samples/9/regression-tests/9/outputs/9/{part}?{query}"
        assert problem(ci.get(path, token)) == (400, "validation_error")


@pytest.mark.spec("CI-55", "CI-56", "CI-57", "CI-62", "CI-64")
@pytest.mark.parametrize("part", ["expected", "actual", "diff"])
def test_results_need_their_scope(ci: Ci, part: str) -> None:
    ci.person("bob")
    answer = ci.get(f"/runs/9/samples/9/regression-tests/9/outputs/9/{part}", ci.token("bob", "runs:read"))
    assert problem(answer) == (403, "forbidden")
    assert answer.json()["details"]["missing_scopes"] == ["results:read"]


@pytest.mark.spec("CI-59")
def test_a_file_is_shown_up_to_one_mebibyte(ci: Ci, token: str) -> None:
    whole, longer = b"a" * LIMIT, b"a" * LIMIT + b"b"
    found = produced(ci, whole, longer)
    expected = ci.get(found.path("expected"), token).json()
    actual = ci.get(found.path("actual"), token).json()
    assert (expected["truncated"], actual["truncated"]) == (False, True)
    assert base64.b64decode(expected["content"]) == base64.b64decode(actual["content"]) == whole
    assert (expected["sha256"], actual["sha256"]) == (sha(whole), sha(longer))
    assert ci.get(actual["download_url"], token).content == longer


@pytest.mark.spec("CI-59")
def test_text_is_utf_8_with_replacement(ci: Ci, token: str) -> None:
    found = produced(ci, "é".encode() + b"\xff\n", b"a" + "é".encode() * (LIMIT // 2))
    assert ci.get(found.path("expected?format=text"), token).json()["content"] == "é\ufffd\n"
    cut = ci.get(found.path("actual?format=text"), token).json()
    assert cut["truncated"]
    assert cut["content"] == "a" + "é" * (LIMIT // 2 - 1)


@pytest.mark.spec("CI-38", "CI-55")
def test_what_a_run_expects_does_not_change(ci: Ci, token: str) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    with ci.service.database.write() as connection:
        catalogue.set_expected(connection, found.test.outputs[NAME], sha(b"later\n"))
    assert ci.get(found.path("expected"), token).json()["sha256"] == sha(b"expected\n")


@pytest.mark.spec("CI-55", "CI-56")
def test_a_file_that_left_the_storage_is_404(ci: Ci, token: str, tmp_path: Path) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    for file in (tmp_path / "files" / "TestResults").iterdir():
        file.unlink()
    for part in ("expected", "actual"):
        assert problem(ci.get(found.path(part), token)) == (404, "not_found")


@pytest.mark.spec("CI-55", "CI-56", "CI-57", "CI-65")
def test_a_storage_that_cannot_be_read_is_503(ci: Ci, token: str, tmp_path: Path) -> None:
    found = produced(ci, b"expected\n", b"actual\n")
    (tmp_path / "files").rename(tmp_path / "away")
    (tmp_path / "files").symlink_to(tmp_path / "files")  # a loop: it can be neither entered nor listed
    for part in ("expected", "actual", "diff"):
        assert problem(ci.get(found.path(part), token)) == (503, "unavailable"), part
    assert problem(ci.get(f"/runs/{found.run_id}/logs", token)) == (503, "unavailable")


@pytest.mark.spec("CI-55", "CI-76")
def test_an_output_that_only_the_mirror_has_is_shown_as_degraded(
    open_ci: Callable[..., Ci], tmp_path: Path
) -> None:
    ci = open_ci(CI_STORAGE_MIRROR_URL=f"file:{tmp_path / 'mirror'}")
    found = produced(ci, b"expected\n", b"actual\n")
    (tmp_path / "files" / layout.result(keep(ci, b"expected\n"), ".txt")).unlink()
    body = ci.get(found.path("expected?format=text"), ci.full_token("ann", Role.USER)).json()
    assert (body["content"], body["storage_status"]) == ("expected\n", "degraded")
    assert body["download_url"] is not None


@pytest.mark.spec("CI-80", "CI-87")
def test_a_report_that_is_repeated_after_a_variant_was_accepted_is_the_same_report(
    ci: Ci, token: str
) -> None:
    found = claimed(ci, expecting(ci, b"expected\n"))
    upload(found, b"actual\n")
    with ci.service.database.write() as connection:
        catalogue.accept_variant(connection, found.test.outputs[NAME], sha(b"actual\n"))
    upload(found, b"actual\n")
    found.claimed.finish(found.test, matching=False)
    (output,) = ci.get(f"/runs/{found.run_id}/samples/{found.test.id}", token).json()["outputs"]
    assert output["status"] == "fail"
