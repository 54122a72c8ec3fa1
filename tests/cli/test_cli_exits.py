"""Exit codes and complaints: one table, two lines, never what was given; and every command's options."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from cli_bed import Shell
from typer.main import get_command

from keyrack.cli import exits
from keyrack.cli.app import EPILOG, app
from keyrack.core import errors

WITHOUT_JSON = {"keyrack serve"}
BY_ARGUMENT = {"keyrack copy"}


def commands(command: Any = None, path: str = "keyrack") -> Iterator[tuple[str, Any]]:
    """Every command with its path, from the tree that Typer made."""
    command = command or get_command(app)
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), 1),
        (errors.NotHeld(["a:b"]), 1),
        (errors.Conflict("x"), 1),
        (errors.PreconditionFailed("x"), 1),
        (errors.StoreExists("x"), 1),
        (errors.ValidationFailed({"name": ["x"]}), 2),
        (errors.InvalidRequest("x"), 2),
        (errors.Unavailable("x"), 3),
        (errors.Tampered("x"), 3),
        (errors.ConfigurationError("KEYRACK_STORE", "x"), 78),
    ],
)
def test_each_error_has_its_exit_code(error: errors.KeyrackError, code: int) -> None:
    assert exits.exit_code(error) == code


def test_the_exit_codes_stand_under_the_help(bare: Shell) -> None:
    assert EPILOG in bare("--help").out
    assert bare("--help").code == 0


def test_the_version_is_that_of_the_package(bare: Shell) -> None:
    shown = bare("--version")
    assert (shown.code, shown.out, shown.err) == (0, f"keyrack {version('keyrack')}\n", "")


def test_an_error_is_two_lines_at_most_and_nothing_on_standard_output(shell: Shell) -> None:
    for argv in (
        ("keys", "show", "nope"),
        ("keys",),
        ("keys", "mint"),
        ("nonsense",),
        ("tenants", "show", "x"),
    ):
        ran = shell(*argv)
        assert ran.out == ""
        assert 1 <= len(ran.err.splitlines()) <= 2, argv
        assert ran.err.startswith("keyrack: ")


@pytest.mark.parametrize("argv", [("keys", "mint", "--json"), ("keys", "list", "--limit", "0", "--json")])
def test_a_wrong_call_is_a_problem_document_with_json(shell: Shell, argv: tuple[str, ...]) -> None:
    ran = shell(*argv)
    assert (ran.code, ran.out, ran.problem["code"]) == (2, "", "usage")


def test_a_wrong_choice_is_told_in_plain_words_with_those_that_there_are(shell: Shell) -> None:
    told = shell("upstream", "rotate", "models", "--plan", "fast").err
    assert told.startswith("keyrack: Invalid value for '--plan': 'fast' is not one of 'planned', ")


def test_a_problem_document_has_the_members_of_the_api(shell: Shell) -> None:
    problem = shell("keys", "show", "nope", "--json").problem
    assert list(problem) == ["type", "title", "status", "detail", "code", "details"]
    assert (problem["status"], problem["type"]) == (404, "urn:keyrack:problem:not_found")


def test_an_unavailable_store_says_what_to_do_next(shell: Shell) -> None:
    shell.alter("DROP TABLE records")
    ran = shell("keys", "list")
    assert (ran.code, "keyrack doctor" in ran.err) == (3, True)


def test_every_command_prints_json_when_asked_and_explains_each_option() -> None:
    seen = dict(commands())
    assert len(seen) >= 25
    for path, command in seen.items():
        names = {name for parameter in command.params for name in parameter.opts}
        assert ("--json" in names) == (path not in WITHOUT_JSON), path
        assert ("--store" in names) == (path not in BY_ARGUMENT), path
        assert command.help, path
        assert all(parameter.help for parameter in command.params), path


def test_no_option_takes_a_secret() -> None:
    for path, command in commands():
        names = {name for parameter in command.params for name in parameter.opts}
        assert not names & {"--key", "--secret", "--pepper", "--peppers", "--token"}, path


def test_who_is_logged_in_stands_in_the_log_or_cli_does(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user, actor in (("ada", "operator:ada"), ("ада", "operator:cli")):
        monkeypatch.setenv("LOGNAME", user)
        assert shell.json("keys", "mint", "reader")["key"]["created_by"] == actor


def test_an_empty_store_is_a_matter_of_configuration(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA")
    (bare.folder / "keyrack.db").touch()
    ran = bare("keys", "list")
    assert (ran.code, "keyrack init" in ran.err) == (78, True)


def test_a_path_that_is_no_database_is_no_traceback(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA")
    (bare.folder / "folder.db").mkdir()
    (bare.folder / "text.db").write_text("no database, but long enough to be taken for one " * 10)
    assert bare("keys", "list", "--store", "sqlite:///folder.db").code == 78
    assert bare("keys", "list", "--store", "sqlite:///text.db").code == 3
    assert bare("doctor", "--store", "sqlite:///text.db").code == 1
