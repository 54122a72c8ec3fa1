"""A real server and the clients that come with it: real logs go in, and SQL says what is in them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from lake_bed import STREAM_HEADER, environment
from lake_events import INGEST, events
from lake_logs import ENOUGH_LINES, ROOT, lines_of, produce
from lake_process import Running, serving
from servers.s3 import S3Server, s3_server  # noqa: F401  # a fixture

from examples.log_lake.storage import Storage


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return produce(tmp_path_factory.mktemp("logs"))


@pytest.fixture(params=["file", "s3"])
def variables(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """A lake whose events and keys lie in one storage."""
    if request.param == "file":
        return environment(tmp_path, KEYRACK_STORE="")
    server: S3Server = request.getfixturevalue("s3_server")
    place = {"LAKE_STORAGE_URL": f"s3://{server.make_bucket()}/lake", "KEYRACK_STORE": ""}
    return {**environment(tmp_path, **place), **server.environment}


@pytest.fixture
def server(variables: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    with serving(variables, tmp_path, "--init") as running:
        yield running


def client(name: str, *arguments: str, key: str | None) -> subprocess.CompletedProcess[str]:
    """A client, with its key in the environment or none there."""
    variables = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **({"LAKE_KEY": key} if key else {})}
    return subprocess.run(
        [sys.executable, "-m", f"examples.log_lake.clients.{name}", *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def made(server: Running, **wish: Any) -> str:
    """A key that the root key made."""
    answer = server.ask("POST", "/api/v1/apikeys", server.root_key, json=wish)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["apiKey"])


@pytest.mark.spec("LL-58", "LL-59")
def test_real_logs_go_in_and_sql_says_what_is_in_them(
    server: Running, logs: Mapping[str, Path], tmp_path: Path
) -> None:
    sender, reader = made(server, keyName="sender"), made(server, keyName="reader", keyType="query")
    kept = tmp_path / "key"
    kept.write_text(f"{sender}\n")
    told = {stream: lines_of(path) for stream, path in logs.items()}
    assert sum(map(len, told.values())) >= ENOUGH_LINES

    at = ["--host", server.url, "--tenant", "default"]
    for stream, path in logs.items():
        sent = client("send", *at, "--stream", stream, "--key-file", str(kept), str(path), key=None)
        assert sent.stdout == f"{len(told[stream])}\n", sent.stderr

    def asked(stream: str, sql: str) -> list[Any]:
        answer = client("query", *at, "--stream", stream, sql, key=reader)
        assert answer.returncode == 0, answer.stderr
        return [json.loads(line) for line in answer.stdout.splitlines()]

    for stream, lines in told.items():
        figures = "count(*) AS n, count(DISTINCT line) AS d, sum(length(line)) AS s, max(line) AS m"
        assert asked(stream, f"SELECT {figures} FROM {stream}") == [
            {"n": len(lines), "d": len(set(lines)), "s": sum(map(len, lines)), "m": max(lines)}
        ]
    words = Counter(line.split(" ")[0] for lines in told.values() for line in lines)
    union = " UNION ALL ".join(f"SELECT split_part(line, ' ', 1) AS word FROM {stream}" for stream in told)
    sql = f"SELECT word, count(*) AS n FROM ({union}) AS w GROUP BY word ORDER BY n DESC, word LIMIT 20"
    expected = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
    assert asked("test", sql) == [{"word": word, "n": count} for word, count in expected]
    trying = sum("trying" in line for line in told["package"])
    assert asked("package", "SELECT count(*) AS n FROM package WHERE line LIKE '%trying%'") == [{"n": trying}]
    assert len(asked("build", "SELECT line FROM build LIMIT 7")) == 7

    assert not [secret for secret in (sender, reader) if secret in server.output]


@pytest.mark.spec("LL-58")
def test_the_clients_take_no_key_as_an_argument_and_say_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    with serving(
        environment(tmp_path, KEYRACK_STORE=f"sqlite:///{tmp_path / 'k.db'}"), tmp_path, "--init"
    ) as server:
        key = made(server, keyName="sender", keyType="ingestion")
        at = ["--host", server.url, "--stream", "web"]
        refusals = [
            (client("send", *at, key=None), "no key"),
            (client("send", *at, "--tenant", "acme", __file__, key=key), "tenant_mismatch"),
            (client("query", *at, key=key), "insufficient_scope"),
            (
                client("query", "--host", "http://127.0.0.1:9", "--stream", "web", key=key),
                "cannot be reached",
            ),
            (client("query", "--host", "ftp://x", "--stream", "web", key=key), "--host"),
        ]
    for ended, words in refusals:
        assert ended.returncode == 1
        assert words in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        assert key not in ended.stderr
    for name in ("send", "query"):
        assert "--key " not in client(name, "--help", key=None).stdout


@pytest.mark.spec("LL-18")
def test_every_event_that_was_answered_for_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    variables = environment(tmp_path, KEYRACK_STORE=f"sqlite:///{tmp_path / 'k.db'}")
    answered: list[int] = []
    enough = threading.Event()
    with serving(variables, tmp_path, "--init") as server:

        def sending(first: int) -> None:
            """Until the server is gone."""
            headers = {"X-API-Key": server.root_key, STREAM_HEADER: "web"}
            with (
                httpx.Client(base_url=server.url, headers=headers) as web,
                contextlib.suppress(httpx.TransportError),
            ):
                for number in range(first, first + 100_000):
                    if web.post(INGEST, json={"n": number}).status_code == 200:
                        answered.append(number)
                    if len(answered) > 60:
                        enough.set()

        threads = [threading.Thread(target=sending, args=(first * 100_000,)) for first in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        server.process.kill()
        for thread in threads:
            thread.join()
    stored = [event["n"] for event in events(Storage.open(variables["LAKE_STORAGE_URL"]), "default/")]
    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(stored) - len(answered) <= len(threads)
