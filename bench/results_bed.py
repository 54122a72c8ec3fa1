"""A results service full of runs: rows made by the database itself, files of 10 MiB, a token that reads."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from sqlalchemy import case, insert, literal, null, select, text, true

from examples.ci_results.app import create_app
from examples.ci_results.enumerations import Platform, Role, RunStatus, SampleStatus, TestType, Verdict
from examples.ci_results.models import catalogue, tables
from examples.ci_results.models.catalogue import NewOutput, NewTest
from examples.ci_results.models.database import Connection, Database
from examples.ci_results.service import Service
from examples.ci_results.services import layout
from examples.ci_results.services.accounts import Person
from examples.ci_results.services.grants import RESULTS_READ, RUNS_READ, SYSTEM_READ
from examples.ci_results.settings import Settings
from keyrack.testing import PEPPERS

SAMPLES = 200
FAILING = 10
"""Each test whose id divides by it fails."""
FILE_BYTES = 10 * 1024**2
LINE = "{number:08d} 00:00:{number:08d} --> the quick brown fox jumps over the lazy dog {end}\n"
OTHER_EVERY = 1000
"""One line in so many differs between what was expected and what was produced."""
LOG_LINES = 50_000
FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "a password of the bench"
SCOPES = [RESULTS_READ, RUNS_READ, SYSTEM_READ]


class Filled(NamedTuple):
    """A service that holds so many runs, and how it is asked."""

    loop: asyncio.Runner
    client: httpx.AsyncClient
    runs: int

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request, which has to go well."""
        return self.loop.run(self.client.request(method, path, **more)).raise_for_status()

    def paths(self) -> Mapping[str, str]:
        """What is asked for, by the name of its line."""
        last = f"/api/v1/runs/{self.runs}"
        output = f"{last}/samples/{FAILING}/regression-tests/{FAILING}/outputs/{FAILING}"
        return {
            "list runs": "/api/v1/runs?limit=100",
            "list runs, the last page": f"/api/v1/runs?limit=100&offset={self.runs - 100}",
            "samples of a run": f"{last}/samples?limit=100",
            "history of a sample": "/api/v1/samples/1/history?limit=100",
            "a diff of 10 MiB": f"{output}/diff",
            "the tail of a log of 10 MiB": f"{last}/logs?cursor={LOG_LINES - 100}",
        }


@contextmanager
def filled(url: str, folder: Path, *, runs: int) -> Iterator[Filled]:
    """A service on this database, which is new, with everything in it; nobody is limited."""
    folder.mkdir()
    variables = {
        "CI_DATABASE_URL": url,
        "CI_STORAGE_URL": f"file:{folder / 'files'}",
        "CI_MAIN_REPOSITORY": "acme/tool",
        "CI_REPOSITORY_DIRECTORY": f"file:{folder / 'repositories.json'}",
        "CI_RATE_LIMIT": "off",
        "KEYRACK_STORE": "memory:",
        "KEYRACK_PEPPERS": PEPPERS,
    }
    with closing(Service.open(Settings.read(variables))) as service, asyncio.Runner() as loop:
        _fill(service, folder, runs)
        service.accounts.add(Person("ann", "ann@example.org", Role.ADMIN, None), PASSWORD)
        transport = httpx.ASGITransport(create_app(service))
        made = Filled(loop, httpx.AsyncClient(transport=transport, base_url="http://ci.example"), runs)
        asked = {"email": "ann@example.org", "password": PASSWORD, "token_name": "bench", "scopes": SCOPES}
        answer = made.call("POST", "/api/v1/auth/tokens", json=asked)
        made.client.headers["authorization"] = f"Bearer {answer.json()['token']}"
        yield made
        loop.run(made.client.aclose())


def _fill(service: Service, folder: Path, runs: int) -> None:
    expected = _keep(service, folder, b"".join(_lines("expected")))
    produced = _keep(service, folder, b"".join(_lines("produced")))
    _keep_log(service, folder, runs)
    with service.database.write() as connection:
        _add_tests(connection, expected)
        _add_runs(connection, runs)
        _add_results(connection, expected, produced)
    _settle(service.database)


def _lines(end: str) -> Iterator[bytes]:
    """As many as a file may hold; all ends are of one length, so that two files differ in theirs alone."""
    for number in range(FILE_BYTES // len(LINE.format(number=0, end=end))):
        yield LINE.format(number=number, end=end if number % OTHER_EVERY == 0 else "the same").encode()


def _keep(service: Service, folder: Path, content: bytes) -> str:
    """Its hash."""
    source = folder / "source"
    source.write_bytes(content)
    content_hash = hashlib.sha256(content).hexdigest()
    service.storage.put(layout.result(content_hash, ".txt"), source)
    return content_hash


def _keep_log(service: Service, folder: Path, run_id: int) -> None:
    source = folder / "log"
    line = "2026-01-01 12:00:00 INFO worker {:06d} " + "x" * (FILE_BYTES // LOG_LINES - 40)
    source.write_text("\n".join(line.format(number) for number in range(LOG_LINES)))
    service.storage.put(layout.run_log(run_id), source)


def _add_tests(connection: Connection, expected: str) -> None:
    for number in range(1, SAMPLES + 1):
        sample_id = catalogue.add_sample(
            connection,
            sha=hashlib.sha256(str(number).encode()).hexdigest(),
            extension="ts",
            original_name=f"{number}.ts",
        )
        test_id = catalogue.add_test(connection, NewTest(sample_id, f"convert {number}"))
        catalogue.add_output(connection, test_id, NewOutput(expected, ".txt", "out.txt"))


def _add_runs(connection: Connection, count: int) -> None:
    repository = insert(tables.repository).returning(tables.repository.c.id)
    repository_id = connection.execute(repository, {"url": "acme/tool"}).scalar_one()
    connection.execute(
        insert(tables.run),
        [
            {
                "id": number,
                "platform": Platform.LINUX,
                "test_type": TestType.COMMIT,
                "repository_id": repository_id,
                "branch": "main",
                "commit_sha": hashlib.sha1(str(number).encode()).hexdigest(),
                "created_at": FIRST_AT + timedelta(minutes=number),
                "status": RunStatus.FAIL,
                "started_at": FIRST_AT + timedelta(minutes=number),
                "completed_at": FIRST_AT + timedelta(minutes=number + 5),
            }
            for number in range(1, count + 1)
        ],
    )


def _add_results(connection: Connection, expected: str, produced: str) -> None:
    """Two rows for each test of each run, made where they are kept."""
    run, test, output = tables.run, tables.regression_test, tables.regression_test_output
    fails = test.c.id % FAILING == 0
    result = {
        "run_id": run.c.id,
        "regression_test_id": test.c.id,
        "runtime_ms": literal(1500),
        "exit_code": literal(0),
        "expected_rc": literal(0),
        "status": case((fails, SampleStatus.FAIL.value), else_=SampleStatus.PASS.value),
        "reported_at": run.c.completed_at,
    }
    every = run.join(test, true())
    connection.execute(
        insert(tables.run_test).from_select(list(result), select(*result.values()).select_from(every))
    )
    kept = {
        "run_id": run.c.id,
        "regression_test_id": test.c.id,
        "output_id": output.c.id,
        "required": literal(True),
        "expected_hash": literal(expected),
        "got_hash": case((fails, produced), else_=null()),
        "verdict": case((fails, Verdict.DIFFERENT.value), else_=Verdict.MATCH.value),
    }
    with_output = every.join(output, output.c.regression_test_id == test.c.id)
    connection.execute(
        insert(tables.run_output).from_select(list(kept), select(*kept.values()).select_from(with_output))
    )


def _settle(database: Database) -> None:
    """What a database does by itself after a while, done now: it looks at what its tables hold."""
    if database.engine.dialect.name == "sqlite":
        with database.write() as connection:
            connection.execute(text("ANALYZE"))
        return
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
