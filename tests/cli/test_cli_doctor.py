"""`keyrack doctor`: a line on everything that a store needs, red where something is wrong."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_bed import PEPPERS, Shell
from servers.redis import running

from keyrack import Access, Authority, Verifier

PASSWORD = "hunter2-hunter2-hunter2"


def failed(shell: Shell) -> dict[str, str]:
    """The findings that are not well, by name."""
    ran = shell("doctor", "--json")
    wrong = {check["name"]: check["detail"] for check in ran.json["checks"] if not check["ok"]}
    assert (ran.code, ran.json["ok"]) == (1 if wrong else 0, not wrong)
    return wrong


def finding(shell: Shell, name: str) -> Any:
    checks = shell("doctor", "--json").json["checks"]
    return next(check["detail"] for check in checks if check["name"] == name)


def test_a_fresh_store_is_well(shell: Shell) -> None:
    assert failed(shell) == {}
    ran = shell("doctor")
    assert (ran.code, "failed" in ran.out) == (0, False)
    assert finding(shell, "sealed secrets") == "none"
    for name in ("settings", "peppers", "files", "counters", "store", "log", "records", "clock", "nodes"):
        assert name in ran.out


def test_it_changes_nothing(shell: Shell) -> None:
    before = shell.files()
    shell("doctor")
    assert shell.files() == before


def test_a_bad_setting_is_named(shell: Shell) -> None:
    shell.set("KEYRACK_WORKERS", "many")
    assert failed(shell) == {"settings": "KEYRACK_WORKERS: must be a whole number from 1 to 256."}
    assert "failed" in shell("doctor").out


def test_a_store_that_is_not_there_is_named(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    assert "keyrack init" in failed(bare)["store"]


def test_missing_peppers_are_named(shell: Shell) -> None:
    (shell.folder / "keyrack.peppers").unlink()
    assert failed(shell).keys() == {"peppers", "store"}


def test_other_peppers_than_the_stores_are_named(shell: Shell) -> None:
    shell.set("KEYRACK_PEPPERS", PEPPERS)
    assert {"peppers in use", "log", "records"} <= failed(shell).keys()


@pytest.mark.parametrize("name", ["keyrack.db", "keyrack-journal.db"])
def test_files_that_others_may_read_are_named(shell: Shell, name: str) -> None:
    (shell.folder / name).chmod(0o644)
    wrong = failed(shell)
    assert list(wrong) == ["files"]
    assert name in wrong["files"]


def test_peppers_that_others_may_read_open_nothing(shell: Shell) -> None:
    (shell.folder / "keyrack.peppers").chmod(0o644)
    assert "chmod 600" in failed(shell)["settings"]


def test_an_altered_record_is_noticed(shell: Shell) -> None:
    shell.alter("UPDATE records SET body = replace(body, 'default', 'renamed') WHERE kind = 'tenant'")
    assert {"records", "replica"} <= failed(shell).keys()


def test_an_altered_log_is_noticed(shell: Shell) -> None:
    shell.alter("UPDATE log SET mac = x'00' WHERE number = 3")
    assert "log" in failed(shell)


def test_a_clock_that_is_behind_the_log_is_noticed(shell: Shell) -> None:
    peppers = (shell.folder / "keyrack.peppers").read_text().strip()
    url = f"sqlite:///{shell.folder}/keyrack.db"
    with Verifier.open(url, peppers=peppers, clock=lambda: 4_000_000_000.0) as ahead:
        key_id = shell.json("keys", "list")["data"][0]["id"]
        ahead.issuer().disable(key_id, by=Authority.operator("future"))
    assert "ahead of this machine's clock" in failed(shell)["clock"]


def test_counters_in_redis_are_looked_at_without_showing_the_password(shell: Shell, tmp_path: Path) -> None:
    with running(tmp_path, "--requirepass", PASSWORD) as redis:
        shell.set("KEYRACK_COUNTERS", redis.patient_url.replace("//", f"//:{PASSWORD}@"))
        assert finding(shell, "counters") == f"redis://…@127.0.0.1:{redis.port}, shared by all who name it"
        shell.set("KEYRACK_COUNTERS", redis.url.replace("//", f"//:not-{PASSWORD}@"))
        assert PASSWORD not in str(failed(shell)["counters"])


def test_counters_that_cannot_be_used_are_noticed(shell: Shell) -> None:
    shell.set("KEYRACK_COUNTERS", "sqlite:////nowhere/counters.db")
    assert list(failed(shell)) == ["counters"]


def test_nodes_are_shown_with_what_they_have_seen_and_when_they_were_heard_of(shell: Shell) -> None:
    assert finding(shell, "nodes") == "none is running"
    peppers = (shell.folder / "keyrack.peppers").read_text().strip()
    with Verifier.open(f"sqlite:///{shell.folder}/keyrack.db", peppers=peppers):
        assert "at event 3, 0 behind, heard of" in finding(shell, "nodes")


def test_the_replica_is_shown_with_its_age_what_it_lacks_and_what_it_holds(shell: Shell) -> None:
    said = r"\d+\.\d s old, 30 s allowed, 0 events behind; holds {} of {} keys"
    assert re.fullmatch(said.format(1, 1), finding(shell, "replica"))
    shell("keys", "mint", "one")
    shell("keys", "mint", "another")
    assert re.fullmatch(said.format(3, 3), finding(shell, "replica"))
    shell.set("KEYRACK_REPLICA_MAX_KEYS", "2")
    assert re.fullmatch(said.format(2, 3), finding(shell, "replica"))
    assert "vouches for 3 keys" in finding(shell, "records")


def copied(source: Path, target: Path) -> None:
    """Copy a database that is open, into one that may be."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


@pytest.fixture
def node(shell: Shell) -> Iterator[Verifier]:
    """A node whose store is put back, under it, to before a key that it refused as revoked."""
    database, backup = shell.folder / "keyrack.db", shell.folder / "backup.db"
    peppers = (shell.folder / "keyrack.peppers").read_text().strip()
    minted = shell.json("keys", "mint", "lost", "--scope", "logs:read")
    copied(database, backup)
    with Verifier.open(f"sqlite:///{database}", peppers=peppers, poll=20.0) as verifier:
        operator = Authority.operator("me")
        verifier.issuer().revoke(minted["key"]["id"], by=operator)
        verifier.verify(minted["secret"], Access(scopes=("logs:read",)))
        verifier.notebook.flush(verifier.stores.journal)
        copied(backup, database)
        yield verifier


def test_a_node_that_saw_more_than_the_store_holds_is_named(shell: Shell, node: Verifier) -> None:
    assert not node.follower.poll()
    assert "which is not in this store's log" in failed(shell)["nodes"]


def test_a_restored_store_is_accepted_and_lists_the_revocations_it_lacks(
    shell: Shell, node: Verifier
) -> None:
    (key,) = (one for one in shell.json("keys", "list")["data"] if one["name"] == "lost")
    accepted = shell.json("doctor", "--accept-head")
    assert accepted["revocations"] == [key["id"]]
    assert [lost["number"] for lost in accepted["lost"]] == [5]
    assert node.follower.poll()
    assert node.doubt() is None


def test_accepting_says_what_to_revoke_again(shell: Shell, node: Verifier) -> None:
    told = shell("doctor", "--accept-head")
    assert told.code == 0
    assert "The store was accepted with event 5." in told.out
    assert "Revoke again: " in told.out


def test_there_is_nothing_to_accept_where_nothing_was_lost(shell: Shell) -> None:
    ran = shell("doctor", "--accept-head", "--json")
    assert (ran.code, ran.problem["code"]) == (1, "conflict")


def test_heads_of_nodes_that_are_not_registered_are_told(shell: Shell) -> None:
    shell.set("KEYRACK_PEPPERS", PEPPERS)
    store = ("--store", "file:keys")
    assert shell("init", *store).code == 0
    untold = shell("doctor", *store, "--accept-head", "--json")
    assert (untold.code, untold.problem["code"]) == (1, "conflict")
    told = ("--lost", f"9:{'a' * 64}", "--lost", f"8:{'b' * 64}")
    accepted = shell.json("doctor", *store, "--accept-head", *told)
    assert [(lost["node"], lost["number"]) for lost in accepted["lost"]] == [(None, 9), (None, 8)]
    assert shell.json("events", "list", *store)["data"][-1]["data"]["lost"][0] == {
        "number": 9,
        "hash": "a" * 64,
    }


def test_a_head_that_is_told_wrongly_is_refused(shell: Shell) -> None:
    ran = shell("doctor", "--accept-head", "--lost", "9:abc", "--json")
    assert (ran.code, ran.problem["code"]) == (2, "invalid_request")
