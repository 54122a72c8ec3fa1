"""What is shown where: colours and bars on a terminal, plain lines and whole words everywhere else."""

from __future__ import annotations

import io
import subprocess
from contextlib import redirect_stderr, redirect_stdout

import pytest
from cli_bed import COMMAND, Ran, Shell

from keyrack.cli import display


class Terminal(io.StringIO):
    """A stream that is a terminal as far as it is asked."""

    def isatty(self) -> bool:
        return True


def written(shell: Shell, encoding: str, *argv: str) -> Ran:
    """A command that writes where there is only this encoding."""
    shell.set("PYTHONIOENCODING", encoding)
    ran = subprocess.run(
        [*COMMAND, *argv], cwd=shell.folder, capture_output=True, encoding=encoding, check=False
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def work() -> None:
    """Work that says how far it is, first without knowing of how much."""
    with display.progress() as report:
        report("checking records", 1000, None)
        report("checking records", 2000, 2000)
        report("sealing records", 500, 2000)


def test_on_a_terminal_states_have_colours_and_work_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        display.show_rows(("id", "status"), [("a", "active")])
        work()
        with display.waiting("Waiting for nodes"):
            pass
    shown = terminal.getvalue()
    assert "\x1b[32mactive" in shown
    assert "sealing records" in shown
    assert "500/2000" in shown


def test_elsewhere_there_is_neither(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    display.show_rows(("id", "status"), [("a", "active")])
    work()
    with display.waiting("Waiting for nodes"):
        pass
    out, err = capsys.readouterr()
    assert "\x1b" not in out
    assert err == ""


def test_what_is_piped_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "logs/" + "x" * 60 + ":read"
    display.show_rows(("id", "scopes"), [("a", [long, long])])
    assert f"{long}, {long}" in capsys.readouterr().out


def test_values_that_are_not_there_are_a_dash_or_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    display.show_rows(("a", "b", "c"), [(None, [], ())])
    assert capsys.readouterr().out.count(display.NOTHING) == 3
    display.show_members({"name": "x", "owner": None, "limits": [], "metadata": {}})
    assert capsys.readouterr().out.split() == ["name", "x"]


def test_a_document_is_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    display.show_json({"text": "x [bold]y[/bold] " * 100})
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_write_is_escaped_in_a_document(shell: Shell, encoding: str) -> None:
    minted = written(shell, encoding, "keys", "mint", "Zoë 🐍", "--scope", "a:b", "--json")
    assert (minted.code, minted.err) == (0, "")
    assert minted.json["secret"].startswith("kr_live_")
    rotated = written(shell, encoding, "keys", "rotate", minted.json["key"]["id"], "--json")
    assert (rotated.code, rotated.json["secret"][:8]) == (0, "kr_live_")
    listed = written(shell, encoding, "keys", "list", "--json")
    assert (listed.code, listed.json["data"][-1]["name"]) == (0, "Zoë 🐍")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_write_is_escaped_in_text(shell: Shell, encoding: str) -> None:
    minted = written(shell, encoding, "keys", "mint", "🐍", "--scope", "a:b")
    assert (minted.code, "this once: kr_live_" in minted.out) == (0, True)
    (key,) = (key for key in shell.json("keys", "list")["data"] if key["name"] == "🐍")
    rotated = written(shell, encoding, "keys", "rotate", key["id"])
    assert (rotated.code, "this once: kr_live_" in rotated.out) == (0, True)
    listed = written(shell, encoding, "keys", "list")
    assert (listed.code, "\\U0001f40d" in listed.out, "\\u2026" in listed.out) == (0, True, True)


def test_a_problem_document_is_one_on_every_terminal(shell: Shell) -> None:
    ran = written(shell, "ascii", "upstream", "rotate", "models", "--plan", "é", "--json")
    assert (ran.code, "'é' is not one of" in ran.problem["detail"]) == (2, True)
