"""A results service inside the test process, called over ASGI as by real clients, on a clock of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
from argon2 import PasswordHasher

from examples.ci_results.app import create_app
from examples.ci_results.enumerations import Platform, Role
from examples.ci_results.models import accounts, catalogue
from examples.ci_results.models.catalogue import NewOutput, NewTest
from examples.ci_results.service import Service
from examples.ci_results.services.accounts import Person
from examples.ci_results.services.grants import column, requestable
from examples.ci_results.services.passwords import Passwords
from examples.ci_results.services.runs import NewRun
from examples.ci_results.settings import Settings
from keyrack import Authority, Wish

API = "/api/v1"
ADDRESS = "198.51.100.7"
PASSWORD = "correct horse battery"
COMMIT = "c0ffee" * 6 + "c0ff"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As strong as a test needs."""
OPERATOR = Authority.operator("tests")


class RegressionTest(NamedTuple):
    """A regression test, its sample, and its expected outputs by file name."""

    id: int
    sample_id: int
    outputs: Mapping[str, int]


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def environment(folder: Path, **changed: str) -> dict[str, str]:
    """What the service needs: everything in memory, but for files."""
    return {
        "CI_DATABASE_URL": "sqlite://",
        "KEYRACK_STORE": "memory:",
        "KEYRACK_PEPPERS": f"p1:{secrets.token_hex(32)}",
        "CI_STORAGE_URL": f"file:{folder / 'files'}",
        "CI_MAIN_REPOSITORY": "Acme/Tool",
        "CI_REPOSITORY_DIRECTORY": f"file:{folder / 'repositories.json'}",
        **changed,
    }


class Ci:
    """A results service opened from an environment. Requests without a token have none."""

    def __init__(self, variables: Mapping[str, str], clock: Clock):
        self.clock = clock
        self.variables = variables
        self.settings = Settings.read(variables)
        self.service = Service.open(self.settings, clock=clock, passwords=Passwords(QUICK))
        self.app = create_app(self.service)
        self.issuer = self.service.verifier.issuer()
        self._names = 0
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        self.service.close()

    def person(self, name: str, role: Role = Role.USER, *, login: str | None = None) -> int:
        """An account of this name, whose password is PASSWORD."""
        person = Person(name, f"{name}@example.org", role, login)
        return self.service.accounts.add(person, PASSWORD)

    def login(self, name: str, *scopes: str, **wish: Any) -> httpx.Response:
        """Ask for a token over HTTP."""
        self._names += 1
        asked = {
            "email": f"{name}@example.org",
            "password": PASSWORD,
            "token_name": f"t{self._names}",
            **wish,
        }
        if scopes:
            asked["scopes"] = list(scopes)
        return self.post("/auth/tokens", json=asked)

    def token(self, name: str, *scopes: str) -> str:
        """A live token of somebody as login makes it; without scopes, with all that their role may ask for.

        No password is hashed for it and no limit of logins is spent.
        """
        self._names += 1
        database, clock = self.service.database, self.clock
        with database.read() as connection:
            account = accounts.by_name(connection, name)
        assert account is not None
        wish = Wish(
            f"t{self._names}",
            scopes=scopes or sorted(requestable(account.role)),
            prefix="spci",
            owner=name,
            expires_at=clock() + timedelta(days=7),
        )
        with database.write() as connection:
            token_id = accounts.reserve_name(connection, account.id, wish.name, now=clock())
            minted = self.issuer.mint(wish, by=OPERATOR)
            accounts.complete(connection, token_id, minted.key.id)
        return str(minted.secret)

    def full_token(self, name: str, role: Role) -> str:
        """A new person of this role, and a token with all that the role may ever hold."""
        self.person(name, role)
        return self.token(name, *sorted(column(role)))

    def directory(self, *repositories: str, builds: Sequence[tuple[str, str]] = ()) -> None:
        """Let these repositories exist, each with these builds (commit and platform)."""
        path = Path(self.settings.repository_directory.removeprefix("file:"))
        built = [{"commit_sha": commit, "platform": platform} for commit, platform in builds]
        entries = [
            {"owner": owner, "name": name, "builds": built}
            for owner, _, name in (one.partition("/") for one in repositories)
        ]
        path.write_text(json.dumps({"repositories": entries}))

    def test(
        self, name: str = "one", *, outputs: Mapping[str, str] | None = None, **more: Any
    ) -> RegressionTest:
        """A regression test of a sample of this name, with expected outputs by file name."""
        outputs = {"out.txt": "expected\n"} if outputs is None else outputs
        ignored = more.pop("ignored", ())
        with self.service.database.write() as connection:
            sample_id = catalogue.add_sample(
                connection,
                sha=digest(f"sample {name}"),
                extension="ts",
                original_name=f"{name}.ts",
                tags=more.pop("tags", ()),
            )
            test_id = catalogue.add_test(connection, NewTest(sample_id, f"convert {name}", **more))
            made = {
                filename: catalogue.add_output(
                    connection,
                    test_id,
                    NewOutput(digest(text), Path(filename).suffix, filename, filename in ignored),
                )
                for filename, text in outputs.items()
            }
        return RegressionTest(test_id, sample_id, made)

    def queued(self, *tests: RegressionTest, platform: str = "linux", **more: Any) -> int:
        """A run of these tests that waits in the queue; of all active ones without any."""
        wish = NewRun(
            "Acme/Tool", COMMIT, Platform(platform), test_ids=[one.id for one in tests] or None, **more
        )
        return self.service.runs.create(wish, None).id

    def worker(self) -> str:
        """The text of a key that claims runs."""
        self._names += 1
        return self.service.leases.add_worker(f"worker {self._names}")

    def claim(self, platform: str = "linux") -> Claimed:
        """The oldest queued run, claimed over HTTP."""
        body = self.post("/worker/claim", self.worker(), json={"platform": platform}).json()
        return Claimed(self, body["run_id"], body["run_key"])

    def call(
        self, method: str, path: str, token: str | None = None, *, headers: Any = (), **body: Any
    ) -> httpx.Response:
        """One request; `path` is relative to the API unless it says otherwise."""
        sent = [*dict(headers).items()] if isinstance(headers, dict) else list(headers)
        if token is not None:
            sent.append(("Authorization", f"Bearer {token}"))
        url = path if path.startswith(("/api", "/livez", "/worker", "/progress-reporter")) else API + path
        return self._loop.run(self._send(method, url, sent, body))

    def get(self, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        return self.call("GET", path, token, **more)

    def post(self, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        return self.call("POST", path, token, **more)

    def delete(self, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        return self.call("DELETE", path, token, **more)

    async def _send(self, method: str, url: str, headers: Any, body: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(ADDRESS, 5000), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://ci.example") as client:
            return await client.request(method, url, headers=headers, **body)


OpenCi = Callable[..., Ci]


class Claimed:
    """A run in the hands of a worker."""

    def __init__(self, ci: Ci, run_id: int, key: str):
        self._ci = ci
        self.id = run_id
        self.key = key

    def report(self, kind: str, file: bytes | None = None, **fields: object) -> httpx.Response:
        """Send one report."""
        data = {"type": kind, **{name: str(value) for name, value in fields.items()}}
        files = None if file is None else {"file": ("file.bin", file)}
        return self._ci.post(f"/progress-reporter/{self.id}", self.key, data=data, files=files)

    def begin(self) -> None:
        """Preparation, then testing."""
        for stage in ("preparation", "testing"):
            assert self.report("progress", status=stage, message=stage).status_code == 200

    def complete(self) -> httpx.Response:
        """The end of the run."""
        return self.report("progress", status="completed", message="done")

    def finish(self, test: RegressionTest, *, code: int = 0, matching: bool = True) -> None:
        """Report a test, with every output as expected unless said otherwise."""
        for output_id in test.outputs.values() if matching else ():
            self.report("equality", test_id=test.id, test_file_id=output_id)
        answer = self.report("finish", test_id=test.id, runTime=120, exitCode=code)
        assert answer.status_code == 200, answer.text


def digest(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a refusal, whose body is of the one form."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert len(body["message"]) <= 500
    assert isinstance(body["details"], dict)
    return answer.status_code, body["code"]
