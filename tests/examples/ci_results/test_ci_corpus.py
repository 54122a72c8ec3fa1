"""The corpus: three runs of more than 200 real samples, loaded as they are shipped, show every status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ci_bed import Ci, Clock, environment

from examples.ci_results import corpus
from examples.ci_results.corpus import Outcome
from examples.ci_results.enumerations import Role
from examples.ci_results.load.directory import read
from examples.ci_results.load.loading import Loader
from examples.ci_results.models.runs import Run
from examples.ci_results.services.directory import FileDirectory

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "examples" / "ci_results" / "repositories.json"
FEW = 20


class Loaded:
    """A service with the whole corpus in it, and a token that reads everything."""

    def __init__(self, ci: Ci, runs: dict[str, Run]):
        self.runs = runs
        self._ci = ci
        self._token = ci.full_token("root", Role.ADMIN)

    def get(self, path: str, **query: object) -> Any:
        """One answer. Time passes, so that no limit is met."""
        self._ci.clock.pass_time(seconds=1)
        answer = self._ci.get(path, self._token, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def statuses(self, run: str) -> Counter[str]:
        path = f"/runs/{self.runs[run].id}/samples"
        pages = [self.get(path, limit=100, offset=offset)["data"] for offset in (0, 100, 200)]
        return Counter(one["status"] for page in pages for one in page)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    folder = tmp_path_factory.mktemp("corpus")
    corpus.write(folder)
    with Ci(environment(folder), Clock()) as ci:
        loader = Loader(ci.service)
        runs = {name: loader.load(read(folder / name), run) for name, run in corpus.RUNS.items()}
        yield Loaded(ci, runs)


def expected(run: str) -> Counter[Outcome]:
    return Counter(corpus.outcome(run, number, corpus.SAMPLES) for number in range(corpus.SAMPLES))


@pytest.mark.spec("CI-79", "CI-80", "CI-90")
def test_every_status_is_in_the_corpus(loaded: Loaded) -> None:
    assert {name: str(run.status) for name, run in loaded.runs.items()} == {
        "first": "pass",
        "second": "fail",
        "third": "error",
    }
    second, third = expected("second"), expected("third")
    assert loaded.statuses("first") == {"pass": corpus.SAMPLES}
    assert loaded.statuses("second") == {
        "pass": second[Outcome.AS_EXPECTED] + second[Outcome.VARIANT],
        "fail": second[Outcome.DIFFERENT] + second[Outcome.WRONG_CODE],
        "missing_output": second[Outcome.MISSING],
    }
    assert loaded.statuses("third") == {
        "pass": third[Outcome.AS_EXPECTED] + third[Outcome.VARIANT],
        "not_started": third[Outcome.UNREPORTED],
    }


@pytest.mark.spec("CI-47", "CI-67")
def test_the_errors_of_the_corpus_are_those_that_were_made(loaded: Loaded) -> None:
    second = expected("second")
    path = f"/runs/{loaded.runs['second'].id}"
    made = {
        "diff_mismatch": second[Outcome.DIFFERENT],
        "missing_output": second[Outcome.MISSING],
        "exit_code_mismatch": second[Outcome.WRONG_CODE],
    }
    found = {kind: loaded.get(f"{path}/errors", type=kind)["pagination"]["total"] for kind in made}
    assert found == made
    assert loaded.get(f"{path}/summary")["error_count"] == sum(made.values())


@pytest.mark.spec("CI-90")
def test_samples_and_tests_of_three_runs_are_there_once(loaded: Loaded) -> None:
    assert corpus.SAMPLES >= 200
    assert loaded.get("/samples")["pagination"]["total"] == corpus.SAMPLES
    assert loaded.get("/regression-tests")["pagination"]["total"] == corpus.SAMPLES
    errors = loaded.get(f"/runs/{loaded.runs['second'].id}/errors")["data"]
    history = loaded.get(f"/samples/{errors[0]['sample_id']}/history")["data"]
    assert [entry["run_id"] for entry in history] == [3, 2, 1]
    assert [entry["failure_signature"] is None for entry in history] == [True, False, True]


@pytest.mark.spec("CI-57", "CI-69")
def test_a_difference_and_its_log_can_be_read(loaded: Loaded) -> None:
    run_id = loaded.runs["second"].id
    error = loaded.get(f"/runs/{run_id}/errors", type="diff_mismatch")["data"][0]
    place = f"/runs/{run_id}/samples/{error['sample_id']}"
    output_id = error["error_id"].split("_")[3]
    path = f"{place}/regression-tests/{error['regression_id']}/outputs/{output_id}"
    diff = loaded.get(f"{path}/diff")
    late = corpus.PASSAGE_LINES // 2
    assert (diff["status"], diff["summary"]["added_lines"], diff["summary"]["removed_lines"]) == (
        "different",
        late,
        late,
    )
    levels = [line["level"] for line in loaded.get(f"{place}/logs")["data"]]
    assert levels == ["info", "error"]


def test_the_texts_are_different_and_always_the_same() -> None:
    first, again = list(corpus.passages()), list(corpus.passages())
    assert first == again
    assert len({passage.lines for passage in first}) == len(first) >= corpus.SAMPLES
    assert len({passage.name for passage in first}) == len(first)


def test_nothing_of_the_data_of_an_example_is_a_text_of_the_corpus() -> None:
    assert not [passage for passage in corpus.passages() if "-data-" in passage.name]


def test_the_shipped_directory_knows_a_build_of_each_run() -> None:
    directory = FileDirectory(SHIPPED)
    for run in corpus.RUNS.values():
        known = directory.look_up(run.repository, run.commit_sha, run.platform)
        assert (known.exists, known.is_built) == (True, True)


def test_the_command_writes_into_a_folder_that_is_empty(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.ci_results.corpus", str(tmp_path / "c"), "--samples", str(FEW)]
    codes = [subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL).returncode for _ in range(2)]
    assert codes == [0, 1]
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == sorted(corpus.RUNS)
    assert len(read(tmp_path / "c" / "second").cases) == FEW
    said = json.loads(next((tmp_path / "c").rglob("test.json")).read_text())
    assert said["command"] == "make-captions --seconds 2"
