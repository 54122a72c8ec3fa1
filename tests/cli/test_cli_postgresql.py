"""The command line on a store in PostgreSQL: made, looked at, changed, and no password shown."""

from __future__ import annotations

import json
import subprocess

import pytest
from cli_bed import COMMAND, PEPPERS, Shell
from servers.postgresql import PostgresServer

PASSWORD = "hunter2-hunter2-hunter2"


@pytest.fixture
def shell(bare: Shell, postgresql_url: str) -> Shell:
    """A shell whose settings name an empty database, with a password that this server does not ask for."""
    bare.set("KEYRACK_STORE", postgresql_url.replace("postgres@", f"postgres:{PASSWORD}@"))
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    return bare


def test_a_store_is_made_once_and_everything_about_it_is_well(shell: Shell) -> None:
    made = shell("init", "--json")
    assert made.json["root_key"].startswith("kr_live_")
    again = shell("init", "--json")
    assert (again.code, again.problem["code"]) == (1, "store_exists")
    looked = shell("doctor", "--json")
    assert {one["name"]: one["detail"] for one in looked.json["checks"] if not one["ok"]} == {}
    shown = {one["name"]: one["detail"] for one in looked.json["checks"]}
    assert shown["settings"].startswith("store postgresql://…@/keyrack_")
    assert "shared by all who name it" in shown["counters"]
    said = "".join(ran.out + ran.err for ran in (made, again, looked))
    assert PASSWORD not in said


def test_keys_are_minted_and_revoked_and_the_log_is_whole(shell: Shell) -> None:
    shell("init")
    minted = shell.json("keys", "mint", "ingest", "--scope", "logs:write")
    assert shell.json("keys", "revoke", minted["key"]["id"])["status"] == "revoked"
    assert shell("verify", stdin=minted["secret"]).code == 1
    checked = shell("events", "check")
    assert (checked.code, checked.err) == (0, "")


def test_a_database_without_a_store_is_no_store(shell: Shell) -> None:
    ran = shell("keys", "list", "--json")
    assert ran.code == 78
    assert "keyrack init" in ran.err
    assert PASSWORD not in ran.err


def test_a_server_that_is_away_is_unavailable(shell: Shell, postgresql: PostgresServer) -> None:
    shell("init")
    postgresql.stop()
    try:
        ran = shell("keys", "list", "--json")
        looked = shell("doctor", "--json")
    finally:
        postgresql.start()
    assert ran.problem["code"] == "unavailable"
    assert {one["name"] for one in looked.json["checks"] if not one["ok"]} == {"store", "counters"}
    assert PASSWORD not in ran.err + looked.out


def test_of_several_that_make_one_store_one_does(shell: Shell) -> None:
    processes = [shell.start("init", "--json") for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert sum("root_key" in (json.loads(out) if out else {}) for out in outputs) == 1


def test_without_the_driver_it_says_how_to_get_it(shell: Shell) -> None:
    hidden = "import sys; sys.modules['psycopg'] = None; from keyrack.cli import main; sys.exit(main())"
    command = [COMMAND[0], "-c", hidden, "keys", "list"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 78
    assert "pip install keyrack[postgres]" in ran.stderr
