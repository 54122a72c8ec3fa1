"""The page about commands says what they are: each with its arguments, its options and what those mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_pages import DOCS, ROOT, pages, rows, section

from keyrack.cli import exits
from keyrack.cli.app import app

PAGE = DOCS / "reference" / "commands.md"
EXAMPLE = ROOT / "examples" / "coordinator" / "README.md"
GROUPS = ("Start", "Decide", "Keys", "Tenants", "Upstreams", "Credits", "Look")
SHARED = {"--store URL", "--json"}
_OPTION = re.compile(r"--[a-z-]+(?: [^\s-]\S*)?")


@cache
def commands() -> dict[str, set[str]]:
    """Each command with its arguments, and the options that it has."""
    return dict(_walk(typer.main.get_command(app), ("keyrack",)))


def _walk(command: Any, path: Sequence[str]) -> Iterator[tuple[str, set[str]]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*path, name))
    if not hasattr(command, "commands"):
        arguments = [one.metavar for one in command.params if one.param_type_name == "argument"]
        options = {said for one in command.params if one.param_type_name == "option" for said in _said(one)}
        yield " ".join([*path, *arguments]), options


def _said(option: Any) -> Iterator[str]:
    yield from (f"{name} {option.metavar or ''}".strip() for name in (*option.opts, *option.secondary_opts))


def documented() -> dict[str, set[str]]:
    found = (row for group in GROUPS for row in rows(section(PAGE, group)))
    return {row[0]: set(_OPTION.findall(row[2])) for row in found}


def test_every_command_is_documented_with_its_arguments_and_options() -> None:
    assert documented() == {command: options - SHARED for command, options in commands().items()}


def test_what_every_command_shares_every_command_has() -> None:
    lacking = {command: SHARED - options for command, options in commands().items() if SHARED - options}
    assert lacking == {"keyrack serve": {"--json"}, "keyrack copy FROM TO": {"--store URL"}}


def test_every_option_has_a_meaning() -> None:
    explained = {one for row in rows(section(PAGE, "What options mean")) for one in _OPTION.findall(row[0])}
    assert explained == {option for options in documented().values() for option in options}


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in rows(section(PAGE, "Exit codes"))} == codes


@pytest.mark.parametrize("page", [*pages(), EXAMPLE], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    known = {" ".join(word for word in command.split() if word.islower()) for command in commands()}
    named = re.findall(r"`(keyrack (?:[a-z]+ ?)+)", page.read_text(encoding="utf-8"))
    assert [command for command in named if not _is_known(command.split(), known)] == []


def _is_known(named: Sequence[str], known: set[str]) -> bool:
    """Whether it is a command, with or without arguments behind it."""
    return any(" ".join(named[:count]) in known for count in (2, 3))
