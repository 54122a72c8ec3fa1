"""The contract against the running service: Schemathesis calls all 29 operations on loaded results."""

from __future__ import annotations

import itertools
import os
import re
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from ci_bed import COMMIT, PASSWORD, Ci, Clock, environment
from patience import eventually
from schemathesis.engine import events, from_schema

from examples.ci_results import corpus, openapi
from examples.ci_results.app import create_app
from examples.ci_results.enumerations import Role
from examples.ci_results.load.directory import read
from examples.ci_results.load.loading import Loader
from examples.ci_results.models import accounts
from examples.ci_results.operations import API, CONTRACT, LIMITS
from examples.ci_results.settings import REPOSITORY
from keyrack import Limit

EXAMPLES = int(os.environ.get("CI_RESULTS_EXAMPLES", "5"))
"""Of each operation, beside the corners of its parameters; a longer run says 200."""
SAMPLES = 8
LARGEST = 2**31 - 1
OWN = 1
"""The id of the token that the calls are made with; it is never handed out to be ended."""
HIGH = {bucket: Limit(limit.name, 1_000_000, limit.window_seconds) for bucket, limit in LIMITS.items()}
FORMS = {
    "email": re.compile(r"(?s).{1,255}"),
    "password": re.compile(r"(?s).{8,128}"),
    "token_name": re.compile("[A-Za-z0-9_-]{1,50}"),
    "commit_sha": re.compile("[0-9A-Fa-f]{40}"),
    "repository": REPOSITORY,
}
ANSWERED = ("2xx", "303", "401", "403", "404", "422")
"""What valid data may meet: no schema says which ids there are, or what can be done with them."""


class Stage:
    """A loaded service, and what is there in place of ids and names that no example could guess."""

    def __init__(self, ci: Ci, folder: Path):
        self.ci = ci
        self.token = ci.full_token("root", Role.ADMIN)
        self._numbers = itertools.count(1)
        corpus.write(folder, SAMPLES)
        for name, run in corpus.RUNS.items():
            Loader(ci.service).load(read(folder / name), run)
        ci.directory("acme/tool", builds=[(COMMIT, "linux"), (COMMIT, "windows")])
        self._ids = self._different()

    def path_value(self, name: str, value: Any) -> Any:
        """Mostly something that exists in place of an id; values outside its form stay as they are."""
        number = int(value) if str(value).isdecimal() else 0
        is_kept = number > OWN and zlib.crc32(str(number).encode()) % 4 == 0
        if is_kept or not _is_id(number):
            return value
        return self._token_id() if name == "token_id" else self._ids.get(name, 1)

    def body(self, operation: str, body: Any) -> Any:
        """The same body with names that exist here, where it has names of the right form."""
        if not isinstance(body, dict):
            return body
        known: dict[str, Any] = {
            "POST /auth/tokens": self._login,
            "POST /runs": lambda: {"commit_sha": COMMIT, "repository": "Acme/Tool"},
            "POST /runs/{run_id}/samples/{sample_id}/baseline-approval": lambda: {
                name: self._ids[name] for name in ("regression_id", "output_id")
            },
        }.get(operation, dict)()
        return {
            name: known[name] if name in known and _is_formed(name, value) else value
            for name, value in body.items()
        }

    def token_for(self, path: str) -> str:
        """A token with all rights; one of its own where the call gives it up."""
        return self.ci.token("root", "runs:read") if path.endswith("/current") else self.token

    def _login(self) -> dict[str, str]:
        return {
            "email": "root@example.org",
            "password": PASSWORD,
            "token_name": f"contract{next(self._numbers)}",
        }

    def _token_id(self) -> int:
        """A token that may be ended."""
        self.ci.token("root", "runs:read")
        with self.ci.service.database.read() as connection:
            return accounts.links(connection, user_id=None, limit=1)[0].id

    def _different(self) -> Mapping[str, int]:
        """The ids of an output that is not what was expected, in a run with logs."""
        found = self.ci.get("/runs?status=fail", self.token).json()["data"][0]["run_id"]
        errors = self.ci.get(f"/runs/{found}/errors?type=diff_mismatch", self.token).json()["data"]
        test = errors[0]["regression_id"]
        shown = self.ci.get(f"/runs/{found}/samples/{test}", self.token).json()
        output = next(one["output_id"] for one in shown["outputs"] if one["status"] == "fail")
        ids = {"run_id": found, "sample_id": shown["sample_id"], "output_id": output}
        return {**ids, "regression_id": test, "regression_test_id": test}


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST


def _is_formed(name: str, value: Any) -> bool:
    """Whether an example drew something of the right form, and not a fault."""
    if name in FORMS:
        return isinstance(value, str) and FORMS[name].fullmatch(value) is not None
    return _is_id(value)


class Calls:
    """One run of the engine: how often each operation answered what, and what was wrong."""

    def __init__(self, schema: Any):
        self.answers: dict[str, Counter[int]] = defaultdict(Counter)
        self.wrong: set[str] = set()
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                self._take(event.recorder)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                self.wrong.add(str(event))

    def _take(self, recorder: Any) -> None:
        for case_id, interaction in recorder.interactions.items():
            label = recorder.cases[case_id].value.operation.label
            self.answers[label][interaction.response.status_code if interaction.response else 0] += 1
        for found in (check for checks in recorder.checks.values() for check in checks):
            if found.failure_info is not None:
                failure = found.failure_info.failure
                self.wrong.add(
                    f"{found.name}: {failure.title}\n{failure.message}\n{found.failure_info.code_sample}"
                )


@contextmanager
def served(ci: Ci) -> Iterator[str]:
    """The service behind a real port, with limits on and out of the way."""
    app = create_app(ci.service, HIGH)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Ci(environment(tmp_path), Clock()) as ci:
        yield Stage(ci, tmp_path / "corpus")


def loaded_schema(url: str, stage: Stage) -> Any:
    config = {
        "base-url": url,
        "seed": 1,
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            "no-shrink": True,
            "database": "none",
            "allow-x00": False,
            "with-security-parameters": False,
        },
        "phases": {name: {"extra-data-sources": {"responses": False}} for name in ("coverage", "fuzzing")},
        "checks": {"positive_data_acceptance": {"expected-statuses": ANSWERED}},
        # Its body may be missing, which the engine draws as a fault as well.
        "operations": [
            {"include-operation-id": "cancel_run", "checks": {"negative_data_rejection": {"enabled": False}}}
        ],
    }
    schema = schemathesis.openapi.from_dict(openapi.contract(), config=schemathesis.Config.from_dict(config))

    @schema.hook
    def map_case(context: Any, case: Any) -> Any:
        for name, value in (case.path_parameters or {}).items():
            case.path_parameters[name] = stage.path_value(name, value)
        # No schema says that a period ends after it began.
        if {"created_after", "created_before"} <= set(case.query or {}):
            del case.query["created_before"]
        case.body = stage.body(f"{case.method.upper()} {case.operation.path.removeprefix(API)}", case.body)
        return case

    @schema.auth(refresh_interval=None)
    class Holder:
        def get(self, case: Any, context: Any) -> str:
            return stage.token_for(case.operation.path)

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    return schema


@pytest.mark.spec("CI-99")
def test_contract_suite_is_collected(stage: Stage) -> None:
    """It runs wherever the others do: nothing here is skipped, and all 29 operations were exercised."""
    with served(stage.ci) as url:
        calls = Calls(loaded_schema(url, stage))
    assert not calls.wrong, "\n\n".join(sorted(calls.wrong))
    assert set(calls.answers) == {f"{one.method} {one.path}" for one in CONTRACT}
    assert len(calls.answers) == 29
    never = sorted(
        name for name, statuses in calls.answers.items() if not any(200 <= one < 400 for one in statuses)
    )
    assert never == [], "these never succeeded, so nothing was proved of them"
