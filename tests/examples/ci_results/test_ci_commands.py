"""How the service is started and operated: settings, commands, the unprepared example, its README."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ci_bed import PASSWORD, Ci, Clock, environment
from ci_process import PATIENCE_SECONDS, ROOT, run, serving, surroundings

from examples.ci_results import __main__ as command
from examples.ci_results import demo, upkeep
from examples.ci_results.enumerations import Role
from examples.ci_results.example import EXAMPLE
from examples.ci_results.models.runs import RunFilter
from examples.ci_results.problems import Unavailable
from examples.ci_results.serving import make_store
from examples.ci_results.settings import DEFAULTS, Settings
from examples.run import introduction, prepared

README = ROOT / "examples" / "ci_results" / "README.md"
Command = Callable[..., int]
OTHER_PASSWORD = "another horse battery"
SAMPLES = "25"

WRONG = {
    "CI_DATABASE_URL": ["ftp://x", "nonsense", "sqlite:////nowhere/at/all.db"],
    "KEYRACK_STORE": ["ftp://x", "sqlite:////nowhere/at/all.db"],
    "KEYRACK_PEPPERS": ["", "p1:short", "p1:" + "a" * 40, "nonsense"],
    "CI_STORAGE_URL": ["ftp://x", "file:", "files", "s3:"],
    "CI_STORAGE_MIRROR_URL": ["ftp://x", "file:", "gs:"],
    "CI_DOWNLOAD_MINUTES": ["0", "-1", "nan", "inf", "10081", "soon"],
    "CI_MAIN_REPOSITORY": ["", "tool", "acme/..", "acme/tool/more", "a" * 50 + "/" + "b" * 50],
    "CI_REPOSITORY_DIRECTORY": ["ftp://x", "file:", "http://", "repositories.json"],
    "CI_REQUIRE_BUILD": ["yes", "ON", "1"],
    "CI_FORGE_URL": ["ftp://x", "http://", "forge"],
    "CI_RUN_LEASE_HOURS": ["0", "-1", "nan", "8761", "long"],
    "CI_RATE_LIMIT": ["no", "OFF", "0"],
    "CI_HSTS": ["on", "yes"],
    "CI_TRUSTED_PROXIES": ["10.0.0.1/8", "proxy"],
}


@pytest.fixture
def operate(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process; returns its exit code. What is typed is a line of input."""

    def run_one(*arguments: str, typed: str = "") -> int:
        monkeypatch.setattr(sys, "argv", ["ci_results", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
        try:
            command.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run_one


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose stores outlive one command; they are made."""
    stores = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("CI_DATABASE_URL", "KEYRACK_STORE")}
    made = environment(tmp_path, **stores)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    make_store(Settings.read(made))
    return made


@pytest.mark.spec("CI-6")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_setting_ends_the_start_with_78_and_is_not_quoted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    operate: Command,
    name: str,
    value: str,
) -> None:
    for variable, given in (environment(tmp_path) | {name: value}).items():
        monkeypatch.setenv(variable, given)
    assert operate("serve", "--port", "0") == 78
    told = capsys.readouterr().err
    assert told.startswith(f"{name}: ")
    assert len(told.splitlines()) == 1
    assert len(value) < 6 or value not in told


@pytest.mark.spec("CI-6")
def test_every_setting_can_be_wrong_and_is_documented_with_its_default() -> None:
    assert set(WRONG) == set(DEFAULTS)
    section = README.read_text().partition("## Variables")[2]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    documented = {name.strip().strip("`"): default.strip().strip("`") for name, default in rows}
    unset = {"KEYRACK_PEPPERS": "required", "CI_MAIN_REPOSITORY": "required"}
    assert documented == {name: default or unset.get(name, "none") for name, default in DEFAULTS.items()}


@pytest.mark.spec("CI-6")
def test_what_is_not_set_has_a_default(tmp_path: Path) -> None:
    needed = {"KEYRACK_PEPPERS": "p1:x", "CI_MAIN_REPOSITORY": "acme/tool"}
    read = Settings.read(needed | dict.fromkeys(DEFAULTS.keys() - needed.keys(), ""))
    assert (read.mirror_url, read.download_minutes, read.run_lease_hours) == (None, 60, 24)
    assert (read.require_build, read.rate_limit, read.hsts, read.trusted_proxies) == (True, True, True, ())
    assert "p1:x" not in repr(read)


@pytest.mark.spec("CI-6")
def test_the_process_itself_ends_with_78(tmp_path: Path) -> None:
    wrong = environment(tmp_path, CI_HSTS="always")
    ended = run("examples.ci_results", "serve", "--port", "0", environment=wrong, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.startswith("CI_HSTS: ")


@pytest.mark.spec("CI-31")
def test_an_operator_makes_and_changes_accounts(
    variables: dict[str, str], operate: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operate("users", "add", "ann", "ann@example.org", "--role", "tester", typed=PASSWORD) == 0
    assert operate("users", "set-role", "ann", "contributor") == 0
    assert operate("users", "set-login", "ann", "ann-at-forge") == 0
    with Ci(variables, Clock()) as ci:
        account = ci.service.accounts.named("ann")
        token = ci.login("ann").json()["token"]
        assert ci.get("/runs", token).status_code == 200
    assert (account.role, account.github_login) == (Role.CONTRIBUTOR, "ann-at-forge")
    assert operate("users", "set-password", "ann", typed=OTHER_PASSWORD) == 0
    assert capsys.readouterr().out == "1 tokens ended.\n"
    with Ci(variables, Clock()) as ci:
        assert ci.get("/runs", token).status_code == 401
        assert ci.login("ann").status_code == 401
        assert ci.login("ann", password=OTHER_PASSWORD).status_code == 201
    assert operate("users", "deactivate", "ann") == 0
    assert operate("users", "deactivate", "ann") == 0
    assert capsys.readouterr().out == "1 tokens ended.\n0 tokens ended.\n"
    with Ci(variables, Clock()) as ci:
        assert ci.login("ann", password=OTHER_PASSWORD).status_code == 401
    assert operate("users", "remove", "ann") == 0


@pytest.mark.spec("CI-31")
def test_a_command_that_cannot_be_done_says_so_and_changes_nothing(
    variables: dict[str, str], operate: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operate("users", "add", "ann", "ann@example.org", typed=PASSWORD) == 0
    for arguments, typed, code in (
        (("users", "add", "ann", "other@example.org"), PASSWORD, 1),
        (("users", "add", "bob", "bob@example.org"), "short", 1),
        (("users", "add", "bob", "bob@example.org", "--role", "owner"), PASSWORD, 2),
        (("users", "set-password", "ann"), "", 1),
        (("users", "set-role", "nobody", "admin"), "", 1),
        (("users", "deactivate", "nobody"), "", 1),
        (("users", "grant", "1", "runs:read", "--by", "nobody"), "", 1),
    ):
        assert operate(*arguments, typed=typed) == code, arguments
        assert capsys.readouterr().err, arguments
    with Ci(variables, Clock()) as ci:
        assert ci.login("ann").status_code == 201
        assert ci.login("bob").status_code == 401


@pytest.mark.spec("CI-84")
def test_a_worker_is_given_a_key_that_claims(
    variables: dict[str, str], operate: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert operate("workers", "add", "builder") == 0
    key = capsys.readouterr().out.rpartition(" ")[2].strip()
    with Ci(variables, Clock()) as ci:
        ci.test()
        run_id = ci.queued()
        answer = ci.post("/worker/claim", key, json={"platform": "linux"})
        assert answer.json()["run_id"] == run_id
        assert ci.get("/runs", key).status_code == 401


@pytest.mark.spec("CI-81")
def test_a_command_recomputes_every_status(
    variables: dict[str, str], operate: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ci(variables, Clock()) as ci:
        ci.test()
        run_ids = [ci.queued(), ci.queued()]
        with ci.service.database.write() as connection:
            connection.exec_driver_sql("UPDATE run SET status = 'pass'")
        assert operate("recompute") == 0
        assert capsys.readouterr().out == "2 runs recomputed.\n"
        assert {ci.service.runs.get(run_id).status for run_id in run_ids} == {"queued"}


def test_a_key_store_is_made_once(variables: dict[str, str], operate: Command) -> None:
    assert operate("init") == 78


def test_the_readme_names_every_command() -> None:
    section = README.read_text().partition("## By hand")[2].partition("## ")[0]
    named = set(re.findall(r"^\| `([a-z-]+(?: [a-z-]+)?)", section, re.MULTILINE))
    commands = _commands(command._parser())
    inner = {f"{name} {one}" for name, parser in commands.items() for one in _commands(parser)}
    assert named == inner | {name for name, parser in commands.items() if not _commands(parser)}


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


@pytest.mark.spec("CI-85")
def test_an_overdue_run_ends_while_the_service_runs(ci: Ci, clock: Clock) -> None:
    ci.test()
    ci.queued()
    overdue = ci.claim()
    clock.pass_time(hours=24)

    async def swept() -> None:
        async with upkeep.sweeping(ci.service):
            for _ in range(3000):
                if ci.service.runs.get(overdue.id).is_terminal:
                    return
                await asyncio.sleep(0.01)

    asyncio.run(swept())
    assert ci.service.runs.get(overdue.id).status == "canceled"
    assert overdue.complete().status_code == 401


def test_upkeep_that_fails_is_put_off(ci: Ci, caplog: pytest.LogCaptureFixture) -> None:
    again = asyncio.Event()
    tries = []

    class Down:
        def cancel_overdue(self) -> int:
            tries.append(len(tries))
            if len(tries) > 1:
                loop.call_soon_threadsafe(again.set)
            raise Unavailable("The database cannot be used right now.")

    class Service:
        leases = Down()

    async def swept() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        async with upkeep.sweeping(Service(), every_seconds=0):  # only leases are used
            await asyncio.wait_for(again.wait(), PATIENCE_SECONDS)

    loop: Any = None
    asyncio.run(swept())
    assert len(tries) >= 2
    assert "put off" in caplog.text


def test_what_the_example_is_given_suits_its_own_rules(tmp_path: Path) -> None:
    made = prepared(EXAMPLE, tmp_path, {})
    assert set(made) - {demo.PASSWORD} <= set(DEFAULTS)
    assert Settings.read(made).main_repository == "keyrack/keyrack"
    told = introduction(EXAMPLE, tmp_path / "environment", 8123)
    assert ":8123/api/v1/runs" in told
    assert not [name for name in EXAMPLE.random if made[name] in told]


def test_an_example_without_a_password_says_so(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(demo.PASSWORD, "")
    monkeypatch.setattr(sys, "argv", ["demo"])
    assert demo.main() == 78
    assert capsys.readouterr().err.startswith(demo.PASSWORD)


@pytest.mark.spec("CI-89", "CI-91")
def test_the_readme_leads_from_login_to_a_diff_and_to_own_golden_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = prepared(EXAMPLE, data, {})
    with serving(
        "examples.ci_results.demo", "--samples", SAMPLES, environment=made, folder=tmp_path
    ) as server:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script(server.url, data)],
            env=surroundings({**made, "PATH": os.environ["PATH"]}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for shown in ('"status":"fail"', "diff_mismatch", '"format":"unified"', "test_runner", '"queue_depth":2'):
        assert shown in done.stdout
    assert done.stdout.endswith("run 6: fail\n")
    assert (data / "environment").stat().st_mode & 0o777 == 0o600
    with Ci(made, Clock()) as ci:
        found, total = ci.service.runs.find(RunFilter(), sort="run_id", limit=10, offset=0)
    assert total == 6
    statuses = [str(one.status) for one in found]
    assert statuses == ["pass", "fail", "error", "queued", "queued", "fail"]


def script(url: str, data: Path) -> str:
    """The commands of the README from the login on, for this server."""
    text = README.read_text()
    steps = text[text.index("In another terminal") : text.index("| Path | What it is |")]
    lines = [line.removeprefix("    ") for line in steps.splitlines() if line.startswith("    ")]
    moved = "\n".join(lines).replace("http://127.0.0.1:8080", url)
    return moved.replace("examples/ci_results/data", str(data)).replace(
        ".venv/bin/python -m", f"{sys.executable} -m"
    )
