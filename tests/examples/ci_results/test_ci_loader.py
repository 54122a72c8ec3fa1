"""The loader: everything is checked before anything is written, and results come as a worker sends them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden_bed
import httpx
import pytest
from ci_bed import COMMIT, Ci, Clock, environment
from golden_bed import write
from sqlalchemy import Table, func, select

from examples.ci_results import serving
from examples.ci_results.enumerations import Platform, Role, Stage
from examples.ci_results.load import __main__ as command
from examples.ci_results.load.bar import bar
from examples.ci_results.load.directory import BadInput, read
from examples.ci_results.load.loading import Loader
from examples.ci_results.load.reporting import Refused, Reporter
from examples.ci_results.models import tables
from examples.ci_results.models.runs import Run, RunFilter
from examples.ci_results.services.leases import Lease
from examples.ci_results.services.runs import NewRun
from examples.ci_results.settings import Settings

WISH = NewRun("Acme/Tool", COMMIT, Platform.LINUX)
ARGUMENTS = ("--repository", "Acme/Tool", "--commit", COMMIT, "--platform", "linux")


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden tests of the command line with what they printed just now."""
    folder = tmp_path_factory.mktemp("golden")
    golden_bed.produce(folder / "results", tmp_path_factory.mktemp("workplace"))
    return folder / "results"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A small directory of results: one test that passed."""
    folder = tmp_path / "results"
    write(folder / "tests/one/expected/out.txt", "expected\n")
    write(folder / "tests/one/actual/out.txt", "expected\n")
    return folder


def load(ci: Ci, folder: Path) -> Run:
    return Loader(ci.service).load(read(folder), WISH)


def rows(ci: Ci, table: Table) -> int:
    with ci.service.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def sample_of(ci: Ci, token: str, run: Run, name: str) -> dict[str, Any]:
    data = ci.get(f"/runs/{run.id}/samples", token, params={"limit": 100}).json()["data"]
    (found,) = (one for one in data if one["command"] == name or one["sample_name"].startswith(name))
    return dict(found)


@pytest.mark.spec("CI-89", "CI-90", "CI-91")
def test_what_keyrack_prints_is_what_its_golden_files_expect(ci: Ci, golden: Path) -> None:
    run = load(ci, golden)
    summary = ci.get(f"/runs/{run.id}/summary", ci.full_token("ann", Role.USER)).json()
    assert (summary["status"], summary["pass_count"]) == ("pass", summary["total_samples"])
    assert summary["total_samples"] == len(list((golden / "tests").iterdir()))
    assert summary["triggered_by"] is None


@pytest.mark.spec("CI-89", "CI-91")
def test_a_changed_and_a_missing_golden_file_are_seen_through_the_api(
    ci: Ci, golden: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(golden, altered)
    write(altered / "tests/list-no-blocks/expected/stdout.json", '{"data": ["one"], "next_cursor": null}\n')
    (altered / "tests/help-of-pepper/actual/stdout.txt").unlink()
    write(altered / "run.log", "2030-01-01T12:00:00Z warning build took long\n")
    run = load(ci, altered)
    token = ci.full_token("ann", Role.USER)
    summary = ci.get(f"/runs/{run.id}/summary", token).json()
    found = [summary[name] for name in ("status", "fail_count", "missing_output_count", "error_count")]
    assert found == ["fail", 1, 1, 2]
    test = sample_of(ci, token, run, "keyrack blocks list --json")
    (output,) = test["outputs"]
    place = f"/runs/{run.id}/samples/{test['sample_id']}"
    path = f"{place}/regression-tests/{test['regression_test_id']}/outputs/{output['output_id']}"
    diff = ci.get(f"{path}/diff", token).json()
    assert (diff["status"], diff["summary"]["added_lines"], diff["summary"]["removed_lines"]) == (
        "different",
        1,
        1,
    )
    missing = ci.get(f"/runs/{run.id}/errors", token, params={"type": "missing_output"}).json()["data"]
    help_of_pepper = sample_of(ci, token, run, "keyrack pepper --help")
    assert [one["regression_id"] for one in missing] == [help_of_pepper["regression_test_id"]]
    (line,) = ci.get(f"{place}/logs", token).json()["data"]
    assert (line["level"], line["source"]) == ("info", "test_runner")
    (line,) = ci.get(f"/runs/{run.id}/logs", token).json()["data"]
    assert (line["level"], line["source"]) == ("warning", "build")


@pytest.mark.spec("CI-90")
def test_a_second_load_adds_a_run_and_nothing_else(ci: Ci, golden: Path) -> None:
    found = (tables.sample, tables.regression_test, tables.regression_test_output, tables.category)
    first = load(ci, golden)
    before = [rows(ci, table) for table in found]
    second = load(ci, golden)
    assert [rows(ci, table) for table in found] == before
    assert (second.id, second.status) == (first.id + 1, "pass")


@pytest.mark.spec("CI-89")
def test_a_test_without_a_trace_is_not_reported(ci: Ci, results: Path) -> None:
    write(results / "tests/two/expected/out.txt", "never\n")
    run = load(ci, results)
    summary = ci.get(f"/runs/{run.id}/summary", ci.full_token("ann", Role.USER)).json()
    assert (summary["status"], summary["pass_count"], summary["skipped_count"]) == ("error", 1, 1)


@pytest.mark.spec("CI-89")
@pytest.mark.parametrize(
    ("expected", "actual", "result", "status"),
    [
        ("text", "text", None, "pass"),
        ("text", "text", '{"exit_code": 3}', "fail"),
        ("text", "other", None, "fail"),
        ("text", "", None, "missing_output"),
        ("text", None, "{}", "missing_output"),
        ("", "", None, "pass"),
        ("", None, "{}", "missing_output"),
        ("text", None, None, "not_started"),
    ],
)
def test_what_a_test_left_decides_its_status(
    ci: Ci, tmp_path: Path, expected: str, actual: str | None, result: str | None, status: str
) -> None:
    folder = tmp_path / "tests" / "one"
    write(folder / "expected/out.srt", expected)
    for name, text in (("actual/out.srt", actual), ("result.json", result)):
        if text is not None:
            write(folder / name, text)
    run = load(ci, tmp_path)
    assert sample_of(ci, ci.full_token("ann", Role.USER), run, "one")["status"] == status


@pytest.mark.spec("CI-89")
def test_all_that_test_json_says_is_loaded(ci: Ci, tmp_path: Path) -> None:
    said = {
        "sample": "clip.ts",
        "command": "convert --fast clip.ts",
        "input_type": "udp",
        "output_type": "report",
        "expected_rc": 4,
        "categories": ["captions"],
        "tags": ["teletext"],
        "description": "A clip.",
        "ignored": ["time.txt"],
    }
    write(tmp_path / "samples/clip.ts", "a clip")
    write(tmp_path / "samples/unused", "another")
    write(tmp_path / "tests/clip/test.json", json.dumps(said))
    write(tmp_path / "tests/clip/expected/time.txt", "0 ms")
    write(tmp_path / "tests/clip/expected/plain", "text")
    write(tmp_path / "tests/clip/actual/plain", "text")
    write(tmp_path / "tests/clip/result.json", '{"exit_code": 4, "runtime_ms": 12}')
    run = load(ci, tmp_path)
    token = ci.full_token("ann", Role.USER)
    assert run.status == "pass"
    (test,) = ci.get("/regression-tests", token, params={"category": "captions", "tag": "teletext"}).json()[
        "data"
    ]
    for name in ("command", "input_type", "output_type", "expected_rc", "categories", "description"):
        assert test[name] == said[name]
    shown = {one["original_name"]: one["extension"] for one in ci.get("/samples", token).json()["data"]}
    assert shown == {"clip.ts": "ts", "unused": "txt"}
    artifacts = ci.get(f"/runs/{run.id}/artifacts", token, params={"type": "expected_output"}).json()["data"]
    assert {(one["filename"], one["storage_status"]) for one in artifacts} == {
        ("time.txt", "ok"),
        ("plain", "ok"),
    }


@pytest.mark.spec("CI-90")
def test_the_directory_is_the_newer_word_on_what_is_expected(ci: Ci, results: Path) -> None:
    write(results / "tests/one/expected/more.txt", "more\n")
    assert load(ci, results).status == "fail"
    (results / "tests/one/expected/more.txt").unlink()
    assert load(ci, results).status == "pass"
    write(results / "tests/one/expected/out.txt", "newer\n")
    assert load(ci, results).status == "fail"
    write(results / "tests/one/variants/out.txt/older", "expected\n")
    assert load(ci, results).status == "pass"
    assert [ci.service.runs.get(number).status for number in (1, 2, 3, 4)] == ["fail", "pass", "fail", "pass"]


def edited(path: str, text: str) -> Callable[[Path], None]:
    return lambda folder: write(folder / path, text)


def linked(folder: Path) -> None:
    (folder / "tests/one/actual/out.txt").unlink()
    (folder / "tests/one/actual/out.txt").symlink_to(folder / "tests/one/expected/out.txt")


def repeated(folder: Path) -> None:
    shutil.copytree(folder / "tests/one", folder / "tests/two")
    write(folder / "tests/two/test.json", '{"command": "one"}')


def oversized(folder: Path) -> None:
    with (folder / "tests/one/actual/out.txt").open("wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)


WRONG: dict[str, Callable[[Path], None]] = {
    "tests/one/test.json": edited("tests/one/test.json", "{"),
    "no JSON object": edited("tests/one/test.json", "[]"),
    "correct colour": edited("tests/one/test.json", '{"colour": "red"}'),
    "correct expected_rc": edited("tests/one/test.json", '{"expected_rc": "1"}'),
    "correct command": edited("tests/one/test.json", json.dumps({"command": "x" * 501})),
    "correct description": edited("tests/one/test.json", '{"description": "\\u0000"}'),
    "no sample clip.ts": edited("tests/one/test.json", '{"sample": "clip.ts"}'),
    "no expected file time.txt": edited("tests/one/test.json", '{"ignored": ["time.txt"]}'),
    "correct exit_code": edited("tests/one/result.json", '{"exit_code": 2147483648}'),
    "correct runtime_ms": edited("tests/one/result.json", '{"runtime_ms": -1}'),
    "no expected file other.txt": edited("tests/one/actual/other.txt", "x"),
    "no expected file more.txt": edited("tests/one/variants/more.txt/one", "x"),
    "nothing is known of expcted": edited("tests/one/expcted/out.txt", "x"),
    "is no file": edited("tests/one/expected/folder/out.txt", "x"),
    "is no folder": edited("tests/stray.txt", "x"),
    "its extension must be": edited("tests/one/expected/out.tar_gz", "x"),
    "samples/clip.a-b": edited("samples/clip.a-b", "x"),
    "cannot be kept": edited("tests/one/expected/o\nut.txt", "x"),
    "is a link": linked,
    "the command of tests/one": repeated,
    "bytes": oversized,
    "there is no test": lambda folder: shutil.rmtree(folder / "tests"),
}


@pytest.mark.spec("CI-89", "CI-90")
@pytest.mark.parametrize("told", WRONG)
def test_bad_input_is_told_and_nothing_is_written(results: Path, told: str) -> None:
    write(results / "tests/zero/expected/out.txt", "good\n")
    WRONG[told](results)
    with pytest.raises(BadInput) as error:
        read(results)
    assert told in str(error.value)


@pytest.mark.spec("CI-90")
def test_everything_that_is_wrong_is_told_at_once(results: Path) -> None:
    write(results / "tests/one/test.json", "{")
    write(results / "tests/two/result.json", "[]")
    with pytest.raises(BadInput) as error:
        read(results)
    assert [Path(line.partition(":")[0]).parent.name for line in str(error.value).splitlines()] == [
        "one",
        "two",
    ]


@pytest.mark.spec("CI-90")
def test_a_run_that_is_loaded_is_given_to_no_worker(ci: Ci) -> None:
    ci.test()
    run_id = ci.queued(is_reserved=True)
    assert ci.post("/worker/claim", ci.worker(), json={"platform": "linux"}).status_code == 204
    assert ci.service.leases.claim_run(run_id) is not None
    assert ci.service.leases.claim_run(run_id) is None


@pytest.mark.spec("CI-90")
def test_a_run_whose_report_is_refused_is_ended_by_the_service(ci: Ci, results: Path) -> None:
    with pytest.raises(Refused, match="does not answer"):
        Loader(ci.service, "http://127.0.0.1:9").load(read(results), WISH)
    (run,), _ = ci.service.runs.find(RunFilter(), sort="run_id", limit=10, offset=0)
    assert run.status == "canceled"
    token = ci.full_token("ann", Role.USER)
    (error,) = ci.get(f"/runs/{run.id}/infrastructure-errors", token).json()["data"]
    assert error["type"] == "worker"


@pytest.mark.spec("CI-90")
def test_a_reporter_that_is_told_to_slow_down_sends_the_same_again(ci: Ci) -> None:
    ci.test()
    lease = ci.service.leases.claim_run(ci.queued())
    assert isinstance(lease, Lease)
    answers = [httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(200), httpx.Response(409)]
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        assert lease.text not in str(request.url)
        assert request.headers["X-API-Key"] == lease.text
        return answers.pop(0)

    async def report() -> None:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(base_url="http://ci.example", transport=transport) as client:
            reporter = Reporter(client, lease)
            await reporter.stage(Stage.TESTING, "begun")
            await reporter.stage(Stage.TESTING, "again")

    with pytest.raises(Refused, match="progress was refused: 409"):
        asyncio.run(report())
    assert sent[0] == sent[1] != sent[2]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose stores outlive one command."""
    stores = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("CI_DATABASE_URL", "KEYRACK_STORE")}
    variables = environment(tmp_path, **stores)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    serving.make_store(Settings.read(variables))
    return variables


@pytest.mark.spec("CI-90")
def test_the_command_ends_with_0_1_or_2(
    served: dict[str, str], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(results), *ARGUMENTS]) == 0
    assert command.main([str(results), *ARGUMENTS, "--branch", "fast/er", "--pull-request", "7"]) == 0
    assert command.main([str(results), *ARGUMENTS, "--branch", "a b"]) == 1
    assert command.main([str(results / "none"), *ARGUMENTS]) == 1
    assert command.main([str(results), *ARGUMENTS, "--url", "http://127.0.0.1:9"]) == 2
    told = capsys.readouterr()
    assert told.out == "run 1: pass\nrun 2: pass\n"
    assert told.err.startswith("Please correct: branch.\n")
    with Ci(served, Clock()) as ci:
        found, total = ci.service.runs.find(RunFilter(), sort="run_id", limit=10, offset=0)
    assert total == 3
    assert [(one.branch, one.pr_number, one.status) for one in found] == [
        ("master", None, "pass"),
        ("fast/er", 7, "pass"),
        ("master", None, "canceled"),
    ]


@pytest.mark.spec("CI-90")
@pytest.mark.parametrize(
    "arguments", [(), ("--platform", "beos"), ("--pull-request", "x"), ("--url", "ftp://x"), ("--what",)]
)
def test_wrong_arguments_are_bad_input(results: Path, arguments: tuple[str, ...]) -> None:
    given = [str(results), *(ARGUMENTS if arguments else ()), *arguments]
    with pytest.raises(SystemExit) as ended:
        command.main(given)
    assert ended.value.code == 1


@pytest.mark.spec("CI-90")
def test_a_wrong_setting_ends_the_loader_with_78(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYRACK_PEPPERS", "")
    assert command.main([str(results), *ARGUMENTS]) == 78
    assert capsys.readouterr().err.startswith("KEYRACK_PEPPERS")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.spec("CI-90")
def test_a_terminal_shows_how_far_the_work_is_and_a_file_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    for place in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", place)
        monkeypatch.setenv("TERM", "xterm")
        with bar() as tell:
            tell("Tests", 1, 2)
        shown.append(re.search(r"Tests.*1/2", place.getvalue()) is not None)
    assert shown == [True, False]
