"""The directory of repositories: a forge, asked at one address alone, or a file; both fail closed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from ci_bed import COMMIT, Ci, OpenCi, problem
from servers.ports import free_port
from sqlalchemy import func, select

from examples.ci_results.models.tables import repository, run, run_test

REPOSITORY, BUILDS = "/repos/bob/Tool", f"/repos/bob/Tool/commits/{COMMIT}/check-runs"
LISTED = '{"repositories": [{"owner": "bob", "name": "Tool", "builds": [%s]}]}'
BUILT = {"check_runs": [{"name": "build (Linux)", "conclusion": "success"}]}


class Forge(ThreadingHTTPServer):
    """Answers what it was told for each path, 404 for all others, and keeps what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def tell(self, path: str, told: Any, status: int = 200) -> None:
        self.answers[path] = (status, told if isinstance(told, bytes) else json.dumps(told).encode())


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as made:
        serving = threading.Thread(target=made.serve_forever, args=(0.01,))
        serving.start()
        made.tell(REPOSITORY, {"full_name": "bob/Tool"})
        made.tell(BUILDS, BUILT)
        yield made
        made.shutdown()
        serving.join()


@pytest.fixture
def ci(open_ci: OpenCi, forge: Forge) -> Ci:
    made = open_ci(CI_REPOSITORY_DIRECTORY=forge.url)
    made.test()
    made.person("bob", login="bob")
    return made


def ask(ci: Ci, name: str = "bob/Tool") -> httpx.Response:
    """Ask for a run as bob, whose login on the forge is the same."""
    wish = {"commit_sha": COMMIT, "platform": "linux", "repository": name}
    return ci.post("/runs", ci.token("bob", "runs:write"), json=wish)


def kept(ci: Ci) -> int:
    """Rows of what a run that is refused must not leave."""
    with ci.service.database.read() as connection:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (run, run_test, repository)
        )


@pytest.mark.spec("CI-36", "CI-37")
def test_a_build_that_the_forge_knows_can_be_run(ci: Ci, forge: Forge) -> None:
    assert ask(ci).status_code == 202
    assert forge.asked == [REPOSITORY, BUILDS]


@pytest.mark.spec("CI-36")
@pytest.mark.parametrize(
    "checks",
    [
        [],
        [{"name": "build (Linux)", "conclusion": "failure"}],
        [{"name": "build (Linux)", "conclusion": None}],
        [{"name": "build (Windows)", "conclusion": "success"}],
        [{"conclusion": "success"}],
    ],
)
def test_without_a_build_that_succeeded_on_the_platform_there_is_no_run(
    ci: Ci, forge: Forge, checks: list[dict[str, Any]]
) -> None:
    forge.tell(BUILDS, {"check_runs": checks})
    assert problem(ask(ci)) == (422, "unprocessable")
    assert kept(ci) == 0


@pytest.mark.spec("CI-36")
def test_a_repository_that_the_forge_does_not_know_has_no_runs(ci: Ci, forge: Forge) -> None:
    del forge.answers[REPOSITORY]
    assert problem(ask(ci)) == (422, "unprocessable")
    assert kept(ci) == 0


@pytest.mark.spec("CI-36", "CI-37")
@pytest.mark.parametrize("path", [REPOSITORY, BUILDS])
@pytest.mark.parametrize(
    ("status", "told"), [(500, {}), (403, {}), (302, {}), (200, b"<html>"), (200, [1]), (200, None)]
)
def test_a_forge_that_answers_wrongly_is_our_own_trouble(
    ci: Ci, forge: Forge, path: str, status: int, told: Any
) -> None:
    forge.tell(path, told, status)
    assert problem(ask(ci)) == (503, "unavailable")
    assert kept(ci) == 0
    assert "/elsewhere" not in forge.asked


@pytest.mark.spec("CI-36")
@pytest.mark.parametrize("checks", [None, 1, [1], [None]])
def test_checks_that_are_none_are_our_own_trouble(ci: Ci, forge: Forge, checks: Any) -> None:
    forge.tell(BUILDS, {"check_runs": checks})
    assert problem(ask(ci)) == (503, "unavailable")
    assert kept(ci) == 0


@pytest.mark.spec("CI-36")
@pytest.mark.parametrize(
    "told",
    [
        "",
        "[]",
        "{}",
        '{"repositories": null}',
        '{"repositories": [1]}',
        LISTED % "{}",
        LISTED % '{"commit_sha": 1, "platform": "linux"}',
    ],
)
def test_a_file_that_is_no_directory_is_our_own_trouble(open_ci: OpenCi, told: str) -> None:
    ci = open_ci()
    ci.test()
    ci.person("bob", login="bob")
    Path(ci.settings.repository_directory.removeprefix("file:")).write_text(told)
    assert problem(ask(ci)) == (503, "unavailable")
    assert kept(ci) == 0


@pytest.mark.spec("CI-36")
def test_a_forge_that_is_not_there_is_our_own_trouble(open_ci: OpenCi) -> None:
    ci = open_ci(CI_REPOSITORY_DIRECTORY=f"http://127.0.0.1:{free_port()}")
    ci.test()
    ci.person("bob", login="bob")
    assert problem(ask(ci)) == (503, "unavailable")
    assert kept(ci) == 0


@pytest.mark.spec("CI-37")
@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/x",
        "../../etc/passwd",
        "bob/../x",
        "bob/..",
        "./bob",
        "bob/Tool/../../elsewhere",
        "bob/Tool?x=",
        "bob/Tool#",
        "bob/T%2e%2e",
        "bob@evil.example/x",
        "evil.example:80/x",
        "//evil.example/x",
        "bob/Tool\r\nHost: evil.example",
    ],
)
def test_repository_text_is_never_fetched(ci: Ci, forge: Forge, text: str) -> None:
    assert problem(ask(ci, text)) == (400, "validation_error")
    assert forge.asked == []
    assert kept(ci) == 0
