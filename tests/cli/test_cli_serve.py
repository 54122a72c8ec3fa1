"""`keyrack serve`: refuses what is not fit to be served from, and shows a root key only where it may."""

from __future__ import annotations

import signal
import socket

import pytest
from cli_bed import PEPPERS, Shell
from servers.ports import free_port

from keyrack.core import credential


def printed_until(shell: Shell, text: str, *argv: str) -> list[str]:
    """What a server prints up to a line with this text; the server is stopped then."""
    lines: list[str] = []
    with shell.start("serve", "--port", str(free_port()), *argv) as server:
        for line in server.stdout or ():
            lines.append(line)
            if text in line:
                break
        server.send_signal(signal.SIGTERM)
        server.communicate()
    return lines


def root_keys(lines: list[str]) -> list[str]:
    return [word for line in lines for word in line.split() if credential.parse(word)]


def test_without_dev_a_missing_store_is_not_made(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    ran = bare("serve")
    assert (ran.code, "keyrack init" in ran.err) == (78, True)
    assert bare.files() == {}


def test_an_empty_store_is_not_served_from(bare: Shell) -> None:
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    (bare.folder / "keyrack.db").touch()
    assert bare("serve").code == 78


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        (("--port", "70000"), "KEYRACK_PORT"),
        (("--workers", "0"), "KEYRACK_WORKERS"),
        (("--dev", "--host", "0.0.0.0"), "KEYRACK_HOST"),
        (("--store", "https://keyrack.example"), "KEYRACK_STORE"),
    ],
)
def test_a_bad_setting_is_named_before_anything_is_made(
    bare: Shell, given: tuple[str, ...], setting: str
) -> None:
    ran = bare("serve", *given)
    assert (ran.code, setting in ran.err) == (78, True)
    assert bare.files() == {}


def test_a_port_that_somebody_else_has_is_told_no_key_and_no_store_is_made_for_it(bare: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.setblocking(False)
        ran = bare("serve", "--dev", "--tour", "--port", str(taken.getsockname()[1]))
        with pytest.raises(BlockingIOError):
            taken.accept()
    assert (ran.code, "KEYRACK_PORT" in ran.err) == (78, True)
    assert bare.files() == {}


def test_a_store_that_exists_is_served_from(shell: Shell) -> None:
    lines = printed_until(shell, "Keyrack serves")
    assert lines[-1].startswith("Keyrack serves sqlite:///keyrack.db at http://127.0.0.1:")


def test_with_dev_a_missing_store_is_made_and_without_a_terminal_no_key_is_shown(bare: Shell) -> None:
    assert root_keys(printed_until(bare, "Keyrack serves", "--dev")) == []
    assert {"keyrack.db", "keyrack.peppers"} <= set(bare.files())
    assert bare.json("keys", "list")["data"] == []


def test_with_dev_a_missing_directory_is_made_and_served_from_again(bare: Shell) -> None:
    bare.set("KEYRACK_STORE", "file:keys")
    printed_until(bare, "Keyrack serves", "--dev")
    assert (bare.folder / "keys.peppers").exists()
    assert bare.json("keys", "list")["data"] == []
    printed_until(bare, "Keyrack serves", "--dev")


def test_a_tour_shows_the_root_key_of_a_new_store_and_only_once(bare: Shell) -> None:
    shown = root_keys(printed_until(bare, "Three things to try", "--dev", "--tour"))
    assert len(shown) == 2
    assert bare.json("verify", "--scope", "keys:manage", stdin=shown[0])["valid"]
    assert root_keys(printed_until(bare, "Keyrack serves", "--dev", "--tour")) == []
