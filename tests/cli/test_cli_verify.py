"""`keyrack verify`: the decision as the exit code says it, on a text that is never an argument."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from cli_bed import Shell

FORGED = "kr_live_" + "A" * 50
ON_ITS_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from keyrack.cli import main
sys.exit(main())
"""


@pytest.fixture
def minted(shell: Shell) -> Any:
    shell.json("tenants", "create", "acme")
    return shell.json(
        "keys", "mint", "reader", "--scope", "logs:read", "--tenant", "acme", "--network", "10.0.0.0/8"
    )


def test_an_allowed_key_ends_with_0_and_shows_whose_it_is(shell: Shell, minted: Any) -> None:
    given = ("verify", "--scope", "logs:read", "--tenant", "acme", "--ip", "10.1.2.3")
    ran = shell(*given, "--json", stdin=minted["secret"] + "\n")
    assert ran.code == 0
    assert (ran.json["code"], ran.json["key_id"], ran.json["tenant"]) == ("ok", minted["key"]["id"], "acme")
    assert "allowed" in shell(*given, stdin=minted["secret"]).out


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--scope", "logs:read", "--scope", "logs:write"), "scope"),
        (("--tenant", "default"), "tenant"),
        (("--ip", "192.0.2.1"), "network"),
        (("--environment", "test"), "unknown"),
    ],
)
def test_a_denied_key_ends_with_1_and_the_exact_reason(
    shell: Shell, minted: Any, given: tuple[str, ...], reason: str
) -> None:
    address = () if "--ip" in given else ("--ip", "10.1.2.3")
    ran = shell("verify", *given, *address, "--json", stdin=minted["secret"])
    assert (ran.code, ran.json["valid"], ran.json["reason"]) == (1, False, reason)


def test_a_suspended_service_is_denied(shell: Shell, minted: Any) -> None:
    shell.json("tenants", "suspend", "acme", "--service", "ingest")
    given = ("verify", "--ip", "10.1.2.3", "--json", "--service")
    assert shell(*given, "ingest", stdin=minted["secret"]).json["reason"] == "suspended"
    assert shell(*given, "query", stdin=minted["secret"]).code == 0


@pytest.mark.parametrize("text", [FORGED, "no key at all", "x" * 10_000, "ключ"])
def test_whatever_is_no_key_is_denied(shell: Shell, text: str) -> None:
    ran = shell("verify", "--json", stdin=text)
    assert (ran.code, ran.json["code"]) == (1, "invalid_credentials")


@pytest.mark.parametrize("stdin", ["", "\n", "  \n"])
def test_without_a_text_it_is_a_matter_of_usage(shell: Shell, stdin: str) -> None:
    ran = shell("verify", stdin=stdin)
    assert (ran.code, "standard input" in ran.err) == (2, True)


@pytest.mark.parametrize("given", [("--scope", "logs"), ("--ip", "nowhere"), ("--cost", "1001")])
def test_a_question_outside_its_rules_is_a_matter_of_usage(shell: Shell, given: tuple[str, str]) -> None:
    assert shell("verify", *given, stdin=FORGED).code == 2


def test_a_store_that_does_not_authenticate_decides_nothing(shell: Shell, root_key: str) -> None:
    shell.alter("UPDATE records SET mac = x'00'")
    ran = shell("verify", stdin=root_key)
    assert (ran.code, "keyrack events check" in ran.err) == (3, True)


def test_a_key_as_an_argument_is_refused_and_not_repeated(shell: Shell, root_key: str) -> None:
    for given in (
        ("verify", root_key),
        ("verify", "--scope", "a:b", root_key),
        (root_key,),
        ("keys", root_key),
    ):
        ran = shell(*given)
        assert ran.code == 2
        assert root_key not in ran.out + ran.err


def test_a_denial_is_written_to_the_journal(shell: Shell) -> None:
    shell("verify", stdin=FORGED)
    (denial,) = shell.json("denials", "list")["data"]
    assert (denial["reason"], denial["operation"]) == ("malformed", "keyrack verify")
    assert "malformed" in shell("denials", "list").out


def test_on_a_terminal_the_text_is_asked_for_without_an_echo(shell: Shell, root_key: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ON_ITS_TERMINAL, "verify", "--json"],
        cwd=shell.folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as asked:
        os.close(theirs)
        shown = os.read(ours, 100)
        os.write(ours, root_key.encode() + b"\n")
        out, _ = asked.communicate()
    shown += os.read(ours, 1000)
    os.close(ours)
    assert asked.returncode == 0
    assert b'"valid": true' in out
    assert shown.startswith(b"Key: ")
    assert root_key.encode() not in shown
