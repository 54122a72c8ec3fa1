"""One command starts any example unprepared: what it makes, keeps, prints and passes on."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from examples import run
from examples.coordinator.example import EXAMPLE
from examples.coordinator.settings import VARIABLES, Settings
from examples.declaration import Example, key_text
from keyrack import weakness

ROOT = Path(__file__).resolve().parents[2]
SMALL = Example(
    command=lambda port: ["json.tool", "--help"],
    try_out=lambda port: f"  ask port {port}",
    random={"FIRST_KEY": key_text, "SECOND_KEY": key_text},
    local=lambda data: {"PLACE": str(data / "place")},
)


def test_what_is_unset_gets_a_strong_value_once(tmp_path: Path) -> None:
    first = run.prepared(SMALL, tmp_path, {})
    assert set(first) == {"FIRST_KEY", "SECOND_KEY", "PLACE"}
    assert weakness(first["FIRST_KEY"]) is None
    assert first["FIRST_KEY"] != first["SECOND_KEY"]
    assert run.prepared(SMALL, tmp_path, {}) == first


@pytest.mark.parametrize("value", ["mine", ""])
def test_what_is_set_is_neither_made_nor_kept_even_when_it_is_empty(value: str, tmp_path: Path) -> None:
    made = run.prepared(SMALL, tmp_path, {"FIRST_KEY": value})
    assert "FIRST_KEY" not in made
    assert "FIRST_KEY" not in (tmp_path / run.KEPT).read_text()


def test_a_variable_that_is_needed_later_joins_those_that_are_kept(tmp_path: Path) -> None:
    before = run.prepared(SMALL, tmp_path, {"FIRST_KEY": "mine"})
    after = run.prepared(SMALL, tmp_path, {})
    assert after["SECOND_KEY"] == before["SECOND_KEY"]
    assert weakness(after["FIRST_KEY"]) is None


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run.prepared(SMALL, data, {})
    assert stat.S_IMODE((data / run.KEPT).stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [path.name for path in data.iterdir()] == [run.KEPT]


def test_the_data_folder_of_every_example_is_ignored_by_git() -> None:
    for name in run.names():
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", f"examples/{name}/data/{run.KEPT}"], cwd=ROOT, check=False
        )
        assert ignored.returncode == 0


def test_the_coordinator_is_an_example() -> None:
    assert "coordinator" in run.names()


def test_what_the_coordinator_is_given_suits_its_own_rules(tmp_path: Path) -> None:
    made = run.prepared(EXAMPLE, tmp_path, {})
    assert set(made) <= set(VARIABLES)
    assert Settings.read(made).webhook_secrets


def test_what_to_try_names_the_port_and_no_key(tmp_path: Path) -> None:
    made = run.prepared(EXAMPLE, tmp_path, {})
    told = run.introduction(EXAMPLE, tmp_path / run.KEPT, 8123)
    assert ":8123/" in told
    assert run.KEPT in told
    assert not [name for name in EXAMPLE.random if made[name] in told]


def started(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """The command on a copy of the examples, whose data folders are nobody's."""
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("data"))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "examples.run", *arguments],
        env={**inherited, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_empty_variable_reaches_the_example_whose_exit_code_is_reported(tmp_path: Path) -> None:
    ended = started(tmp_path, {"COORDINATOR_API_KEY": ""}, "coordinator", "--port", "0")
    assert ended.returncode == 78
    assert ended.stderr.startswith("COORDINATOR_API_KEY")
    assert "curl" in ended.stdout


def test_an_unknown_example_is_refused_with_the_names_of_those_that_there_are(tmp_path: Path) -> None:
    ended = started(tmp_path, {}, "nothing")
    assert ended.returncode == 2
    assert "coordinator" in ended.stderr
