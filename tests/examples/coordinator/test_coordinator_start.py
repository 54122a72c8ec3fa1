"""What keeps the service from starting: the real process, one row after another."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from coordinator_bed import Secrets
from coordinator_process import ROOT, run

Environment = Mapping[str, str]
WEAK = "changeme-changeme-0123456789-abcdef"
STRANGE = "redis://somewhere.invalid:6379/0"


def refused(environment: Environment, folder: Path) -> subprocess.CompletedProcess[str]:
    """Start with a port that is taken: whoever came so far as to open it would end otherwise than by 78."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", "--port", port, environment=environment, folder=folder)
    assert ended.returncode == 78, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended


def newer_store(environment: Environment, folder: Path) -> None:
    with sqlite3.connect(folder / "newer.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    database.close()


def no_database(environment: Environment, folder: Path) -> None:
    (folder / "broken.db").write_text("this is no database, " * 100)


def nothing(environment: Environment, folder: Path) -> None:
    pass


Prepare = Callable[[Environment, Path], None]

ROWS: dict[str, tuple[dict[str, str | None], str, str, Prepare]] = {
    "no coordinator key": ({"COORDINATOR_API_KEY": None}, "COORDINATOR_API_KEY", "missing", nothing),
    "an empty coordinator key": ({"COORDINATOR_API_KEY": ""}, "COORDINATOR_API_KEY", "missing", nothing),
    "a weak key": ({"MONITOR_API_KEY": WEAK}, "MONITOR_API_KEY", "placeholder", nothing),
    "a weak previous key": (
        {"OPERATOR_API_KEY_PREVIOUS": WEAK[:31]},
        "OPERATOR_API_KEY_PREVIOUS",
        "fewer than 32",
        nothing,
    ),
    "a weak webhook secret": (
        {"STITCHER_WEBHOOK_SECRET": "whsec_" + "A" * 44},
        "STITCHER_WEBHOOK_SECRET",
        "repeats a block",
        nothing,
    ),
    "a weak previous webhook secret": (
        {"STITCHER_WEBHOOK_SECRET_PREVIOUS": "whsec_c2hvcnQ="},
        "STITCHER_WEBHOOK_SECRET_PREVIOUS",
        "fewer than 32",
        nothing,
    ),
    "a webhook secret of another form": (
        {"STITCHER_WEBHOOK_SECRET": "whsec-8JmTqZ0vKc2RnXw5YbLh7DgFsPaUeQ1i"},
        "STITCHER_WEBHOOK_SECRET",
        "whsec_",
        nothing,
    ),
    "no bot key": ({"STITCHER_API_KEY": None}, "STITCHER_API_KEY", "missing", nothing),
    "no webhook secret": ({"STITCHER_WEBHOOK_SECRET": None}, "STITCHER_WEBHOOK_SECRET", "required", nothing),
    "no peppers": ({"KEYRACK_PEPPERS": None}, "KEYRACK_PEPPERS", "missing", nothing),
    "a weak pepper": ({"KEYRACK_PEPPERS": "p1:" + WEAK}, "KEYRACK_PEPPERS", "placeholder", nothing),
    "an unknown store": ({"KEYRACK_STORE": STRANGE}, "KEYRACK_STORE", "", nothing),
    "a store that is no database": (
        {"KEYRACK_STORE": "sqlite:///broken.db"},
        "KEYRACK_STORE",
        "",
        no_database,
    ),
    "a store in a folder that does not exist": (
        {"KEYRACK_STORE": "sqlite:///nowhere/keyrack.db"},
        "KEYRACK_STORE",
        "",
        nothing,
    ),
    "a store of a newer schema": (
        {"KEYRACK_STORE": "sqlite:///newer.db"},
        "KEYRACK_STORE",
        "newer",
        newer_store,
    ),
    "a job database that is none": (
        {"COORDINATOR_DATABASE_URL": "sqlite:///broken.db"},
        "COORDINATOR_DATABASE_URL",
        "",
        no_database,
    ),
    "another database": (
        {"COORDINATOR_DATABASE_URL": "postgresql://somewhere.invalid/jobs"},
        "COORDINATOR_DATABASE_URL",
        "sqlite",
        nothing,
    ),
}


@pytest.mark.spec("CO-20")
@pytest.mark.parametrize("row", ROWS)
def test_the_service_refuses_to_start_with(row: str, environment: Environment, tmp_path: Path) -> None:
    changed, variable, rule, prepare = ROWS[row]
    prepare(environment, tmp_path)
    merged = {name: value for name, value in {**environment, **changed}.items() if value is not None}
    ended = refused(merged, tmp_path)
    assert re.match(rf"{variable}\b", ended.stderr), ended.stderr
    assert rule in ended.stderr
    for value in (*changed.values(), *environment.values()):
        assert not value or value not in ended.stderr


@pytest.mark.spec("CO-20")
def test_two_callers_never_share_a_key(environment: Environment, tmp_path: Path) -> None:
    shared = environment["OPERATOR_API_KEY"]
    ended = refused({**environment, "MONITOR_API_KEY_PREVIOUS": shared}, tmp_path)
    assert ended.stderr.startswith("MONITOR_API_KEY_PREVIOUS")
    assert shared not in ended.stderr


@pytest.mark.spec("CO-20")
def test_with_webhooks_off_the_bot_needs_neither_key_nor_secret(
    open_coordinator: Callable[..., object],
) -> None:
    assert open_coordinator(
        STITCHER_WEBHOOK="off",
        STITCHER_API_KEY=None,
        STITCHER_WEBHOOK_SECRET=None,
    )


@pytest.mark.spec("CO-18")
def test_the_unmodified_example_file_does_not_start_the_service(tmp_path: Path) -> None:
    lines = (ROOT / "examples/coordinator/.env.example").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(pairs.values()) == {""}
    refused(pairs, tmp_path)


@pytest.mark.spec("CO-19", "CO-20")
def test_the_generator_of_the_example_file_makes_keys_that_start(
    open_coordinator: Callable[..., object], used: Secrets
) -> None:
    assert "openssl rand -base64 32" in (ROOT / "examples/coordinator/.env.example").read_text()
    made = subprocess.run(
        ["openssl", "rand", "-base64", "32"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert open_coordinator(COORDINATOR_API_KEY=used.note(made))
