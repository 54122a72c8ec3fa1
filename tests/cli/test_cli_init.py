"""`keyrack init`: one store, one winner, one object; peppers are made with a new store and never later."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_bed import PEPPERS, Shell

URL = "sqlite:///other.db"


def test_the_root_key_is_the_one_member_of_the_one_object_and_may_do_everything(bare: Shell) -> None:
    ran = bare("init", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert list(ran.json) == ["root_key"]
    asked = bare.json("verify", "--scope", "anything:at-all", stdin=ran.json["root_key"])
    assert (asked["valid"], asked["scopes"]) == (True, ["*:*"])


def test_for_people_the_root_key_stands_on_a_line_of_its_own(bare: Shell) -> None:
    ran = bare("init")
    assert ran.out.splitlines()[-1].startswith("Root key, shown this once: kr_live_")


def test_all_files_are_their_owners_alone(shell: Shell) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in shell.folder.iterdir()}
    assert modes.keys() >= {"keyrack.db", "keyrack-journal.db", "keyrack.peppers"}
    assert set(modes.values()) == {0o600}


def test_a_store_that_exists_is_left_as_it_is(shell: Shell) -> None:
    before = shell.files()
    ran = shell("init", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.problem["code"] == "store_exists"
    assert shell.files() == before


def test_of_two_that_begin_at_once_exactly_one_wins(bare: Shell) -> None:
    racers = [bare.start("init", "--json") for _ in range(3)]
    ended = [(*racer.communicate(), racer.returncode) for racer in racers]
    assert sorted(code for *_, code in ended) == [0, 1, 1], ended
    (printed,) = [out for out, _, code in ended if code == 0]
    assert "root_key" in printed
    assert [key["name"] for key in bare.json("keys", "list")["data"]] == ["root"]
    assert bare("events", "check").code == 0


def test_an_existing_empty_file_is_no_store_of_ours_to_make(bare: Shell) -> None:
    (bare.folder / "keyrack.db").touch()
    assert bare("init").code == 1
    assert bare.files() == {"keyrack.db": b""}


def test_an_init_that_was_stopped_behind_its_peppers_is_repeated_with_them(bare: Shell) -> None:
    bare("init", "--store", URL, "--dev")
    peppers = (bare.folder / "other.peppers").read_bytes()
    (bare.folder / "keyrack.peppers").write_bytes(peppers)
    (bare.folder / "keyrack.peppers").chmod(0o600)
    assert bare("init").code == 0
    assert (bare.folder / "keyrack.peppers").read_bytes() == peppers


def test_peppers_that_are_set_are_used_and_none_are_made(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    assert bare("init").code == 0
    assert "keyrack.peppers" not in bare.files()
    assert bare("keys", "list").code == 0


def test_with_dev_any_sqlite_file_has_peppers_made_for_it(bare: Shell) -> None:
    assert bare("init", "--store", URL, "--dev").code == 0
    assert {"other.db", "other.peppers"} <= set(bare.files())
    assert bare("keys", "list", "--store", URL).code == 0


@pytest.mark.parametrize("store", ["file:keys.v1", "file:keys.v1/", "file:./keys.v1"])
def test_with_dev_a_directory_has_peppers_made_beside_it(bare: Shell, store: str) -> None:
    assert bare("init", "--store", store, "--dev").code == 0
    peppers = bare.folder / "keys.v1.peppers"
    assert peppers.stat().st_mode & 0o777 == 0o600
    assert bare("keys", "list", "--store", store).code == 0
    assert bare("doctor", "--store", store).code == 0
    peppers.chmod(0o644)
    assert bare("doctor", "--store", store).code == 1, "others may read them"
    peppers.unlink()
    assert bare("init", "--store", store, "--dev").code == 1, "no other peppers for a store that is there"
    assert not peppers.exists()


@pytest.mark.parametrize("command", [("init",), ("keys", "list"), ("verify",), ("events", "check")])
def test_without_peppers_every_command_ends_with_78_and_one_line(
    bare: Shell, command: tuple[str, ...]
) -> None:
    ran = bare(*command, "--store", URL, stdin="kr_live_x")
    assert ran.code == 78
    assert ran.err.startswith("keyrack: KEYRACK_PEPPERS")
    assert len(ran.err.splitlines()) == 1
    assert bare.files() == {}


@pytest.mark.parametrize("text", ["p1:short", "p1:" + "ab" * 20, "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"])
def test_weak_peppers_end_with_78_and_are_never_quoted(bare: Shell, text: str) -> None:
    bare.set("KEYRACK_PEPPERS", text)
    ran = bare("init")
    assert ran.code == 78
    assert "KEYRACK_PEPPERS" in ran.err
    assert text.removeprefix("p1:") not in ran.err
    assert bare.files() == {}


def test_peppers_that_are_gone_are_never_made_again(shell: Shell) -> None:
    (shell.folder / "keyrack.peppers").unlink()
    assert shell("init").code == 1
    assert shell("init", "--dev").code == 1
    ran = shell("keys", "list")
    assert (ran.code, "KEYRACK_PEPPERS" in ran.err) == (78, True)
    assert "keyrack.peppers" not in shell.files()


def test_another_pepper_of_the_same_id_is_named_and_not_quoted(shell: Shell) -> None:
    shell.set("KEYRACK_PEPPERS", PEPPERS)
    ran = shell("keys", "list")
    assert ran.code == 78
    assert "'p1' is not the one" in ran.err
    assert shell("init").code == 1


@pytest.mark.parametrize("url", ["memory:", "env:", "https://keyrack.example", "mongodb://x"])
def test_what_cannot_be_made_is_refused_with_78(bare: Shell, url: str) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    ran = bare("init", "--store", url)
    assert (ran.code, "KEYRACK_STORE" in ran.err) == (78, True)


def test_a_folder_that_is_not_there_is_a_matter_of_configuration(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    assert bare("init", "--store", "sqlite:///nowhere/keyrack.db").code == 78


def test_max_stale_belongs_to_the_store(bare: Shell) -> None:
    bare("init", "--max-stale", "12.5")
    event = bare.json("events", "list")["data"][0]
    assert (event["kind"], event["data"]) == ("store.created", {"max_stale": 12.5})


def test_a_missing_store_is_never_made_by_another_command(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    for command in ("keys list", "events check", "tenants list", "pepper rotate", "denials list"):
        ran = bare(*command.split())
        assert (ran.code, "keyrack init" in ran.err) == (78, True), command
    assert bare.files() == {}


def test_the_command_line_says_what_it_lacks_when_typer_is_not_installed(bare: Shell, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")
    ended = bare.start("init")
    out, err = ended.communicate()
    assert (ended.returncode, out) == (2, "")
    assert err == "keyrack: the command line needs `pip install 'keyrack[cli]'`.\n"
