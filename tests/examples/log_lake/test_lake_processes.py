"""Several processes on one lake: what one of them is told, all of them know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lake_bed import environment, wrong
from lake_process import PATIENCE_SECONDS, Running, serving, surroundings
from patience import eventually

KEYS, TENANTS, HEALTH = "/api/v1/apikeys", "/api/v1/tenants", "/api/v1/health"
README = Path(__file__).parents[3] / "examples" / "log_lake" / "README.md"
NODES = 8
EVENTS = 10_000


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running, str]]:
    """Two processes on one storage, which holds the keys, too; and the root key."""
    folder = tmp_path_factory.mktemp("lake")
    variables = environment(folder, KEYRACK_STORE="", LAKE_LIMITER_URL=f"sqlite:///{folder}/limiter.db")
    with serving(variables, folder, "--init") as first, serving(variables, folder) as second:
        yield first, second, first.root_key


def made(node: Running, root: str, **body: Any) -> dict[str, Any]:
    answer = node.ask("POST", KEYS, root, json=body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def ingested(node: Running, key: str) -> int:
    return node.ask("POST", "/api/v1/ingest", key, json={"a": 1}, headers={"X-P-Stream": "web"}).status_code


@pytest.mark.spec("LL-15")
def test_a_suspension_on_one_node_holds_on_the_other(nodes: tuple[Running, Running, str]) -> None:
    one, other, root = nodes
    one.ask("POST", TENANTS, root, json={"tenantId": "acme"})
    key = made(one, root, keyName="a", tenant="acme")["apiKey"]
    eventually(lambda: ingested(other, key) == 200)
    one.ask("POST", f"{TENANTS}/acme/suspend", root, json={"service": "ingest", "reason": "unpaid"})
    assert ingested(one, key) == 403
    eventually(lambda: ingested(other, key) == 403)
    other.ask("POST", f"{TENANTS}/acme/resume", root, json={"service": "ingest"})
    eventually(lambda: ingested(one, key) == 200)


@pytest.mark.spec("LL-41")
def test_a_revocation_that_was_waited_for_holds_on_every_node(nodes: tuple[Running, Running, str]) -> None:
    one, other, root = nodes
    key = made(one, root, keyName="b")
    eventually(lambda: ingested(other, key["apiKey"]) == 200)
    told = one.ask("DELETE", f"{KEYS}/{key['keyId']}?wait=true", root)
    assert ingested(other, key["apiKey"]) == 401
    assert datetime.fromisoformat(told.json()["effectiveBy"]) <= datetime.now(UTC)


@pytest.mark.spec("LL-61")
def test_refused_credentials_are_counted_by_all_nodes_together(nodes: tuple[Running, Running, str]) -> None:
    *both, root = nodes
    nobody = wrong(root)
    for number in range(60):
        assert both[number % 2].ask("GET", HEALTH, nobody).status_code in (401, 429)
    eventually(lambda: all(node.ask("GET", HEALTH, nobody).status_code == 429 for node in both))
    assert both[0].ask("GET", HEALTH, root).status_code == 200


@pytest.mark.spec("LL-61", "LL-13")
def test_a_limit_of_a_key_is_one_limit_on_all_nodes(nodes: tuple[Running, Running, str]) -> None:
    *both, root = nodes
    limits = [{"name": "few", "limit": 7, "window_seconds": 3600}]
    key = made(both[0], root, keyName="c", scopes=["health:read"], limits=limits)["apiKey"]
    eventually(lambda: both[1].ask("GET", KEYS, key).status_code == 403)

    def asked(number: int) -> int:
        # What could not be counted in time is not counted.
        return eventually(
            lambda: (told := both[number % 2].ask("GET", HEALTH, key).status_code) != 503 and told
        )

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(asked, range(20))) == [200] * 7 + [429] * 13


@pytest.mark.spec("LL-17")
def test_eight_processes_never_pass_a_quota_and_lose_no_more_than_a_block_each(tmp_path: Path) -> None:
    """Each stores events until it is refused, as the routes do it."""
    script = Path(__file__).with_name("lake_spender.py")
    begun = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path), str(EVENTS), str(number)],
            env=surroundings({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(NODES)
    ]
    ready = [process.stdout and process.stdout.readline() for process in begun]
    for process in begun:
        print(file=process.stdin, flush=True)
    stored = [int(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in begun]
    assert ready == ["ready\n"] * NODES
    assert all(process.returncode == 0 for process in begun)
    assert EVENTS - NODES * EVENTS // 1000 <= sum(stored) <= EVENTS
    assert len([one for one in stored if one]) > 1
    claims = sorted((tmp_path / "acme/.quota/eventCount/2030-01").glob("*.json"))
    assert sum(json.loads(path.read_text())["units"] for path in claims) == EVENTS


def test_the_readme_leads_from_nothing_to_a_query(tmp_path: Path) -> None:
    text = README.read_text()
    steps = text[text.index("An ingest key and a query key") : text.index("## Operations")]
    script = "\n".join(line.removeprefix("    ") for line in steps.splitlines() if line.startswith("    "))
    variables = {"KEYRACK_PEPPERS": environment(tmp_path)["KEYRACK_PEPPERS"]}
    with serving(variables, tmp_path, "--init") as lake:
        given = {"LAKE": f"{lake.url}/api/v1", "ROOT": lake.root_key, "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"status": 200, "n": 1}, {"status": 404, "n": 1}]
    assert (tmp_path / "lake-data" / "default" / "streams" / "web").is_dir()
