"""`keyrack secrets reencrypt` and `keyrack sessions rotate`, and the file of a master key beside a store."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from cli_bed import PEPPERS, Shell
from engine_bed import OPERATOR
from session_bed import BOTH, M1, M2, master_key

from keyrack import Access, Allowed, Verifier, Wish
from keyrack.master_key_file import beside_store, with_master_keys
from keyrack.sessions.exchange import Sessions
from keyrack.settings import Settings


@pytest.fixture
def shell(bare: Shell) -> Shell:
    """A store whose signing key is sealed under the first master key."""
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    bare.set("KEYRACK_MASTER_KEYS", M1)
    bare.json("init")
    bare.json("sessions", "rotate")
    return bare


def test_secrets_are_moved_to_the_first_master_key(shell: Shell) -> None:
    shell.set("KEYRACK_MASTER_KEYS", f"{M2},{M1}")
    assert shell.json("secrets", "reencrypt") == {"done": 1, "total": 1}
    assert shell("secrets", "reencrypt").out == "0 of 1 sealed secrets were moved to the first master key.\n"
    (kind, data) = [(one["kind"], one["data"]) for one in shell.json("events", "list")["data"]][-1]
    assert (kind, data) == ("secret.reencrypted", {"from": "m1", "to": "m2"})
    assert shell("events", "check").code == 0


def test_a_new_signing_key_is_named(shell: Shell) -> None:
    rotated = shell.json("sessions", "rotate", "--compromised")
    assert rotated["version"] == 2
    assert len(rotated["kid"]) == 43
    assert "key 3 now" in shell("sessions", "rotate").out


def test_it_goes_on_beside_a_node_that_exchanges_keys(shell: Shell) -> None:
    """What the node gives out before, meanwhile and afterwards passes, and nothing is left behind."""
    shell.set("KEYRACK_MASTER_KEYS", f"{M2},{M1}")
    ended, tokens = threading.Event(), []
    with Verifier.open("sqlite:///keyrack.db", peppers=PEPPERS) as node:
        text = node.issuer().mint(Wish("reader", scopes=["logs:read"]), by=OPERATOR).secret or ""
        sessions = Sessions(node, BOTH)

        def work() -> None:
            while not ended.is_set() or len(tokens) < 3:
                node.issuer().mint(Wish("another"), by=OPERATOR)
                allowed = node.verify(text, Access(("logs:read",)))
                tokens.append(sessions.exchange(allowed).token if isinstance(allowed, Allowed) else "")

        writer = threading.Thread(target=work)
        writer.start()
        moved = shell.json("secrets", "reencrypt")
        ended.set()
        writer.join()
        assert {type(node.verify(token, Access(("logs:read",)))) for token in tokens} == {Allowed}
    assert moved == {"done": 1, "total": 1}
    assert shell.json("secrets", "reencrypt") == {"done": 0, "total": 1}
    assert shell("events", "check").code == 0


WRONG = {
    "none": ("", 78),
    "weak": (f"m1:{'A' * 43}=", 78),
    "malformed": ("m1=hunter2", 78),
    "another of that id": (master_key("m1", "other"), 3),
    "a new one alone": (M2, 3),
}


@pytest.mark.parametrize("name", WRONG)
def test_without_the_right_keys_nothing_is_moved(shell: Shell, name: str) -> None:
    given, code = WRONG[name]
    before = shell.json("events", "list")
    shell.set("KEYRACK_MASTER_KEYS", given)
    ran = shell("secrets", "reencrypt")
    assert ran.code == code
    assert ("KEYRACK_MASTER_KEYS" in ran.err) == (code == 78)
    assert given[3:] not in ran.err or not given
    shell.set("KEYRACK_MASTER_KEYS", M1)
    assert shell.json("events", "list") == before


def test_rotating_without_master_keys_says_which_setting_is_missing(shell: Shell) -> None:
    shell.set("KEYRACK_MASTER_KEYS", "")
    ran = shell("sessions", "rotate", "--json")
    assert ran.code == 3
    assert ran.problem["details"] == {"reason": "unconfigured"}
    assert "KEYRACK_MASTER_KEYS" in ran.problem["detail"]


def test_other_commands_need_no_master_key(shell: Shell) -> None:
    shell.set("KEYRACK_MASTER_KEYS", "")
    assert shell("keys", "mint", "reader", "--scope", "logs:read").code == 0
    assert shell("doctor").code == 0


def test_the_doctor_counts_what_is_sealed_and_says_what_does_not_open_here(shell: Shell) -> None:
    def told() -> tuple[bool, str]:
        checks = shell("doctor", "--json").json["checks"]
        return next((one["ok"], one["detail"]) for one in checks if one["name"] == "sealed secrets")

    assert told() == (True, "1 under m1; all of them open here")
    for given in (M2, master_key("m1", "other")):
        shell.set("KEYRACK_MASTER_KEYS", given)
        ok, detail = told()
        assert (ok, detail.partition(",")[0]) == (False, "1 under m1; 1 cannot be opened here")
    shell.set("KEYRACK_MASTER_KEYS", "")
    assert told() == (True, "1 under m1; none opens here, where KEYRACK_MASTER_KEYS is not set")


def test_no_command_shows_a_master_key_or_what_is_sealed(shell: Shell) -> None:
    shell.set("KEYRACK_MASTER_KEYS", f"{M2},{M1}")
    shown = [
        shell("secrets", "reencrypt"),
        shell("events", "list"),
        shell("doctor"),
        shell("sessions", "rotate"),
    ]
    text = json.dumps([(ran.out, ran.err) for ran in shown])
    for secret in (M1, M2):
        assert secret.partition(":")[2] not in text
    assert "kr-sealed" not in text


# -- the file beside a store --------------------------------------------------------------------------------


def settings(folder: Path, **given: object) -> Settings:
    return Settings.read({}, store=f"sqlite:///{folder}/keyrack.db", **given)


def test_in_dev_a_master_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    made = with_master_keys(settings(tmp_path, dev=True)).master_keys
    path = tmp_path / "keyrack.master-keys"
    assert path.stat().st_mode & 0o777 == 0o600
    assert made == path.read_text().strip()
    assert with_master_keys(settings(tmp_path, dev=True)).master_keys == made
    assert with_master_keys(settings(tmp_path)).master_keys == made
    assert beside_store(settings(tmp_path).store) == path


def test_otherwise_none_is_made_and_one_that_is_set_comes_first(tmp_path: Path) -> None:
    assert with_master_keys(settings(tmp_path)).master_keys is None
    assert with_master_keys(settings(tmp_path, dev=True, master_keys=M1)).master_keys == M1
    assert with_master_keys(Settings.read({}, store="env:", dev=True)).master_keys is None
    assert list(tmp_path.iterdir()) == []


def test_no_repr_of_settings_shows_one(tmp_path: Path) -> None:
    assert M1.partition(":")[2] not in repr(settings(tmp_path, master_keys=M1))
