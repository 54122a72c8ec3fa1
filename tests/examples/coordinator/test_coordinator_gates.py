"""That the gates stand: what CI runs, how much it demands, and that nothing is let off."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
from coordinator_process import ROOT

CI = (ROOT / ".ci" / "run").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.spec("CO-45")
@pytest.mark.parametrize(("package", "least"), [("examples/coordinator", 85), ("src/keyrack/guards", 100)])
def test_the_build_fails_below_the_coverage_that_is_demanded(package: str, least: int) -> None:
    demanded = re.search(rf"coverage report .*--include='{package}/\*'.*--fail-under=(\d+)", CI)
    assert demanded
    assert int(demanded[1]) >= least
    assert PROJECT["tool"]["coverage"]["run"]["branch"] is True


@pytest.mark.spec("CO-45")
def test_nothing_of_the_service_is_left_out_of_the_count() -> None:
    assert "omit" not in PROJECT["tool"]["coverage"]["run"]
    assert "exclude" not in str(PROJECT["tool"]["coverage"])
    marks = subprocess.run(
        ["git", "grep", "-lE", "pragma: no cover", "--", "examples"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert marks.stdout == b""


@pytest.mark.spec("CO-46")
@pytest.mark.parametrize("target", ["check", "test"])
def test_ci_runs_the_same_commands_as_a_developer(target: str) -> None:
    assert re.search(rf"^make {target}\b", CI, re.MULTILINE)
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


@pytest.mark.spec("CO-46")
@pytest.mark.parametrize("gate", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_check_runs_every_gate(gate: str) -> None:
    recipe = MAKEFILE.split("\ncheck:", 1)[1].split("\n\n", 1)[0]
    assert f"$(BIN)/{gate}\n" in recipe + "\n"


@pytest.mark.spec("CO-46")
def test_no_failure_is_passed_over() -> None:
    assert "set -euo pipefail" in CI
    for text in (CI, MAKEFILE.split("\ncheck:", 1)[1].split("\n\n", 1)[0]):
        assert not re.search(r"\|\| *(true|:)|--exit-zero|^\t-|continue-on-error", text, re.MULTILINE)


@pytest.mark.spec("CO-46")
def test_the_service_has_no_list_of_known_errors() -> None:
    ruff = PROJECT["tool"]["ruff"]["lint"]
    assert not [path for path in ruff.get("per-file-ignores", {}) if path.startswith("examples")]
    assert not [one for one in PROJECT["tool"]["mypy"].get("overrides", []) if "examples" in str(one)]
    silenced = subprocess.run(
        ["git", "grep", "-nE", "type: ignore|noqa", "--", "examples/coordinator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert silenced.stdout == ""


@pytest.mark.spec("CO-46")
def test_no_test_of_the_service_is_skipped() -> None:
    skipping = re.compile(r"pytest\.(mark\.)?(skip|xfail)")
    here = ROOT / "tests" / "examples"
    assert not [path.name for path in here.rglob("*.py") if skipping.search(path.read_text())]
