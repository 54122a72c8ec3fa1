"""The real server, over real connections: whole lives, an upgrade, several processes, a restart."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import coordinator_script
import httpx
import pytest
from coordinator_bed import ACTIONS, JOBS, Secrets
from coordinator_process import PATIENCE_SECONDS, ROOT, client, keyrack, run, serving, surroundings
from patience import eventually

Environment = Mapping[str, str]


def lives(url: str, environment: Environment) -> str:
    """What the client script says, run as a program of its own."""
    ended = subprocess.run(
        [sys.executable, coordinator_script.__file__, url],
        env=surroundings(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def quiet(output: str, used: Secrets) -> None:
    """No line of the server's carries a secret."""
    assert not any(secret in output for secret in used.texts)


@pytest.mark.spec("CO-22", "CO-44")
def test_whole_lives_before_and_after_the_upgrade_by_one_url(
    environment: Environment, used: Secrets, tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as running:
        assert lives(running.url, environment) == "completed failed cancelled"
        quiet(running.output, used)
    upgraded = {**environment, "KEYRACK_STORE": "sqlite:///keyrack.db"}
    with serving(upgraded, tmp_path) as running:
        assert lives(running.url, environment) == "completed failed cancelled"
        quiet(running.output, used)
        key_id = key_ids(tmp_path)["coordinator"]
        keyrack("keys", "revoke", key_id, "--wait", environment=upgraded, folder=tmp_path)
    with (
        serving(upgraded, tmp_path) as running,
        client(running, environment["COORDINATOR_API_KEY"]) as caller,
    ):
        assert caller.get(f"{JOBS}/1").json()["code"] == "key_revoked"
        with client(running, environment["OPERATOR_API_KEY"]) as other:
            assert other.get(f"{JOBS}/1").status_code == 404


def key_ids(folder: Path) -> dict[str, str]:
    """The key id behind each caller, as the service's own audit names them."""
    with sqlite3.connect(folder / "coordinator.db") as database:
        rows = database.execute("SELECT caller, key_id FROM audit ORDER BY id").fetchall()
    database.close()
    return dict(rows)


@pytest.mark.spec("CO-22")
def test_after_the_import_another_value_stops_the_start(
    environment: Environment, used: Secrets, tmp_path: Path
) -> None:
    upgraded = {**environment, "KEYRACK_STORE": "sqlite:///keyrack.db"}
    with serving(upgraded, tmp_path):
        pass
    changed = {**upgraded, "MONITOR_API_KEY": used.key()}
    ended = run("serve", "--port", "0", environment=changed, folder=tmp_path)
    assert ended.returncode == 78
    assert ended.stderr.startswith("MONITOR_API_KEY")
    assert "rotate this key in the store" in ended.stderr
    quiet(ended.stderr, used)
    unset = {**upgraded, "MONITOR_API_KEY": ""}
    with serving(unset, tmp_path) as running, client(running, environment["MONITOR_API_KEY"]) as monitor:
        assert monitor.get("/coordinator/health").status_code == 200


@pytest.mark.spec("CO-31")
def test_of_fifty_simultaneous_ends_of_a_job_one_takes_place(
    environment: Environment, tmp_path: Path
) -> None:
    with serving(environment, tmp_path, workers=2) as running:
        script = coordinator_script.Script(running.url, environment)
        job = script.new_job()
        script.ask("operator", "POST", "/stitcher/dispatch", 202, {"job_id": job})
        script.ask("coordinator", "PATCH", f"{JOBS}/{job}/status", 200, {"status": "running"})
        script.close()
        ends = [ACTIONS[("complete", "fail", "cancelled")[number % 3]] for number in range(50)]

        def end(action: tuple[str, str, dict[str, Any]]) -> tuple[str, int]:
            method, path, body = action
            with client(running, environment["COORDINATOR_API_KEY"]) as caller:
                answer = caller.request(method, f"{JOBS}/{job}/{path}", json=body)
            return path, answer.status_code

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(end, ends))
        with client(running, environment["COORDINATOR_API_KEY"]) as caller:
            final = caller.get(f"{JOBS}/{job}").json()
    winner = {"completed": "complete", "failed": "fail", "cancelled": "status"}[final["status"]]
    assert {status for path, status in answers if path == winner} == {200}
    assert {status for path, status in answers if path != winner} == {409}
    rows = audited(tmp_path, job)
    assert [outcome for _, outcome, _ in rows] == ["pending", "queued", "running", final["status"]]
    assert [revision for revision, _, _ in rows] == [1, 2, 3, 4]
    assert rows[-1][2].startswith(final["finished_at"].removesuffix("Z")[:19])


def audited(folder: Path, job: str) -> list[tuple[int, str, str]]:
    with sqlite3.connect(folder / "coordinator.db") as database:
        rows = database.execute(
            "SELECT revision, outcome, at FROM audit WHERE job_id = ? ORDER BY id", (job,)
        )
        found = rows.fetchall()
    database.close()
    return found


@pytest.mark.spec("CO-39")
def test_one_limit_is_one_limit_in_several_processes(environment: Environment, tmp_path: Path) -> None:
    limited = {**environment, "COORDINATOR_RATE_LIMIT": "20/3600"}
    with serving(limited, tmp_path, workers=2) as running:

        def ask(_: int) -> int:
            with client(running, environment["MONITOR_API_KEY"]) as monitor:
                # What could not be counted in time is not counted.
                return eventually(
                    lambda: (told := monitor.get("/coordinator/health").status_code) != 503 and told
                )

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(60)))
    assert sorted(statuses) == [200] * 20 + [429] * 40


@pytest.mark.spec("CO-30", "CO-35")
def test_a_restart_changes_no_terminal_job_and_forgets_no_webhook(
    environment: Environment, tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as running:
        script = coordinator_script.Script(running.url, environment)
        ids = [script.new_job()]
        script.ask("coordinator", "PATCH", f"{JOBS}/{ids[0]}/status", 200, {"status": "cancelled"})
        before = script.ask("coordinator", "GET", f"{JOBS}/{ids[0]}", 200)
        script.close()
    with serving(environment, tmp_path) as running:
        script = coordinator_script.Script(running.url, environment)
        assert script.ask("coordinator", "GET", f"{JOBS}/{ids[0]}", 200) == before
        script.ask("coordinator", "POST", f"{JOBS}/{ids[0]}/complete", 409, {})
        script.close()


@pytest.mark.spec("CO-2", "CO-3", "CO-12")
def test_the_real_server_shows_nothing_of_itself(
    environment: Environment, used: Secrets, tmp_path: Path
) -> None:
    with serving(environment, tmp_path) as running:
        alive = httpx.get(f"{running.url}/livez")
        refused = httpx.get(f"{running.url}/docs?api_key={environment['MONITOR_API_KEY']}")
        nobody = httpx.get(f"{running.url}/docs", headers={"X-Forwarded-For": "203.0.113.9"})
        quiet(running.output, used)
    assert (alive.status_code, alive.content) == (200, b"")
    assert "server" not in alive.headers
    assert refused.status_code == 400
    assert (nobody.status_code, nobody.headers["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.spec("CO-23")
def test_the_commands_of_the_readme_work_on_the_store_of_a_running_service(
    environment: Environment, tmp_path: Path
) -> None:
    readme = (ROOT / "examples" / "coordinator" / "README.md").read_text()
    commands = re.findall(r"^    keyrack (.+)$", readme, re.MULTILINE)
    upgraded = {**environment, "KEYRACK_STORE": "sqlite:///keyrack.db"}
    with serving(upgraded, tmp_path) as running, client(running, environment["MONITOR_API_KEY"]) as monitor:
        listed = keyrack("keys", "list", "--json", environment=upgraded, folder=tmp_path)
        (key_id,) = (key["id"] for key in json.loads(listed)["data"] if key["name"] == "monitor")
        for line in commands:
            arguments = line.replace("KEY_ID", key_id).split()
            keyrack(*arguments, environment=upgraded, folder=tmp_path)
        assert len(commands) > 5
        assert monitor.get("/coordinator/health").json()["code"] == "key_revoked"


@pytest.mark.spec("CO-23")
def test_the_pepper_is_rotated_under_a_running_service(
    environment: Environment, used: Secrets, tmp_path: Path
) -> None:
    url = {"KEYRACK_STORE": "sqlite:///keyrack.db"}
    new = {**environment, **url, "KEYRACK_PEPPERS": f"p2:{used.key()},{environment['KEYRACK_PEPPERS']}"}
    with serving({**environment, **url}, tmp_path):
        pass
    with serving(new, tmp_path) as running, client(running, environment["MONITOR_API_KEY"]) as monitor:
        keyrack("pepper", "rotate", environment=new, folder=tmp_path)
        assert monitor.get("/coordinator/health").status_code == 200
    with serving(new, tmp_path) as running:
        assert lives(running.url, environment) == "completed failed cancelled"
