"""A store in a directory by the command line: made, used, looked at, and its documents written anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_bed import PEPPERS, Shell


@pytest.fixture
def objects(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A new store in the directory `keys`, and the settings that name it."""
    monkeypatch.setenv("KEYRACK_PEPPERS", PEPPERS)
    monkeypatch.setenv("KEYRACK_STORE", "file:keys")
    assert shell("init", "--max-stale", "15", "--json").code == 0
    return shell


def test_a_key_is_made_used_and_taken_back(objects: Shell) -> None:
    minted = objects("keys", "mint", "n", "--scope", "a:b", "--json").json
    asked = ("verify", "--scope", "a:b", "--json")
    assert objects(*asked, stdin=minted["secret"]).json["valid"]
    assert objects("keys", "revoke", minted["key"]["id"]).code == 0
    assert objects(*asked, stdin=minted["secret"]).json["code"] == "key_revoked"
    assert objects("events", "check").code == 0


def test_a_store_that_exists_is_left_as_it_is(objects: Shell) -> None:
    before = sorted(Path("keys/log").iterdir())
    again = objects("init", "--json")
    assert (again.code, again.problem["code"]) == (1, "store_exists")
    assert sorted(Path("keys/log").iterdir()) == before


def test_a_directory_that_is_missing_is_a_wrong_setting(objects: Shell) -> None:
    Path("keys").rename("away")
    ran = objects("keys", "list")
    assert ran.code == 78
    assert "KEYRACK_STORE" in ran.err
    assert not Path("keys").exists()


def test_doctor_finds_all_well(objects: Shell) -> None:
    ran = objects("doctor", "--json")
    assert [one for one in ran.json["checks"] if not one["ok"]] == []


@pytest.mark.spec("LL-47")
def test_documents_are_written_anew(objects: Shell) -> None:
    made = sorted(Path("keys/.settings").rglob("*.json"))
    shutil.rmtree("keys/.settings")
    assert objects("store", "project", "--json").json == {"documents": 2}
    assert sorted(Path("keys/.settings").rglob("*.json")) == made


def test_a_store_of_another_kind_has_no_documents(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRACK_PEPPERS", PEPPERS)
    shell("init", "--store", "sqlite:///keys.db")
    ran = shell("store", "project", "--store", "sqlite:///keys.db", "--json")
    assert (ran.code, ran.problem["code"]) == (1, "unsupported_store")
