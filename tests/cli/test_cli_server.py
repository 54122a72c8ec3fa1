"""The command line as a client: with a server for a store it prints what it prints at the store itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cli_bed import Ran, Shell
from lossy import losing_the_first_answer
from server.server_bed import Founded, make_store
from server.server_process import Running, serving

from keyrack.testing import PEPPERS


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def server(founded: Founded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(founded.settings, tmp_path_factory.mktemp("home")) as running:
        yield running


class Both:
    """One store, as its operator sees it and as the holder of the root key does."""

    def __init__(self, shell: Shell, founded: Founded, server: Running):
        self.shell = shell
        self._here = {"KEYRACK_STORE": founded.url, "KEYRACK_PEPPERS": PEPPERS, "KEYRACK_KEY": ""}
        self._there = {"KEYRACK_STORE": server.url, "KEYRACK_PEPPERS": "", "KEYRACK_KEY": founded.root}

    def at_store(self, *argv: str, stdin: str = "") -> Ran:
        return self._run(self._here, *argv, stdin=stdin)

    def by_server(self, *argv: str, stdin: str = "") -> Ran:
        return self._run(self._there, *argv, stdin=stdin)

    def by_a_bad_line(self, *argv: str) -> Ran:
        """What the server did is done, and its first answer is lost."""
        with losing_the_first_answer(self._there["KEYRACK_STORE"]) as url:
            return self._run({**self._there, "KEYRACK_STORE": url}, *argv)

    def done(self, *argv: str) -> Any:
        """What the server did, as JSON."""
        ran = self.by_server(*argv, "--json")
        assert ran.code == 0, ran
        return ran.json

    def _run(self, variables: dict[str, str], *argv: str, stdin: str = "") -> Ran:
        for name, value in variables.items():
            self.shell.set(name, value)
        return self.shell(*argv, stdin=stdin)


@pytest.fixture
def both(bare: Shell, founded: Founded, server: Running) -> Both:
    return Both(bare, founded, server)


def test_a_key_is_made_shown_changed_and_revoked(both: Both) -> None:
    made = both.done(
        "keys", "mint", "nightly", "--scope", "logs:read", "--owner", "ada", "--limit", "minute=60/60"
    )
    key_id = made["key"]["id"]
    assert made["secret"].startswith("kr_live_")
    assert both.done("keys", "update", key_id, "--name", "x", "--if-match", str(made["key"]["revision"]))
    assert both.done("keys", "rotate", key_id)["key"]["rotation"] == "active"
    assert both.done("keys", "abort", key_id)["rotation"] == "none"
    assert both.done("keys", "rotate", key_id, "--grace-seconds", "3600")["secret"]
    assert both.done("keys", "promote", key_id)["rotation"] == "none"
    assert both.done("keys", "undo", key_id)["rotation"] == "active"
    assert both.done("keys", "disable", key_id)["status"] == "disabled"
    assert both.done("keys", "enable", key_id)["status"] == "active"
    assert both.done("keys", "revoke", key_id, "--reason", "leaked", "--wait")["status"] == "revoked"


def test_a_tenant_is_made_suspended_and_deleted(both: Both) -> None:
    assert both.done("tenants", "create", "acme", "--name", "Acme", "--limit", "m=1/1")["id"] == "acme"
    assert both.done("tenants", "update", "acme", "--name", "Acme Ltd")["name"] == "Acme Ltd"
    assert both.done("tenants", "suspend", "acme", "--service", "query")["suspended"] == ["query"]
    assert both.done("tenants", "resume", "acme", "--service", "query")["suspended"] == []
    gone = both.done("tenants", "delete", "acme")
    assert (gone["id"], gone["name"]) == ("acme", "Acme Ltd")
    (last,) = both.done("events", "list", "--subject", "acme", "--cursor", str(gone["revision"] - 1))["data"]
    assert (last["kind"], last["at"]) == ("tenant.deleted", gone["deleted_at"])


def test_who_may_not_read_the_log_deletes_a_tenant_all_the_same(both: Both, server: Running) -> None:
    both.done("tenants", "create", "quiet")
    secret = both.done("keys", "mint", "n", "--scope", "tenants:manage")["secret"]
    both.shell.set("KEYRACK_STORE", server.url)
    both.shell.set("KEYRACK_KEY", secret)
    ran = both.shell("tenants", "delete", "quiet", "--json")
    assert (ran.code, ran.json["id"], "It is deleted." in ran.err) == (0, "quiet", True)
    assert both.by_server("tenants", "show", "quiet").code == 1


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ["keys", "list", "--owner", "bob"],
        ["keys", "list", "--owner", "bob", "--limit", "1"],
        ["keys", "show", "KEY"],
        ["keys", "show", "A" * 12],
        ["tenants", "list"],
        ["tenants", "show", "default"],
        ["events", "list", "--limit", "5"],
        ["events", "tail", "--no-follow", "--lines", "3"],
        ["denials", "list"],
        ["keys", "update", "KEY", "--scope", "none"],
    ],
    ids=" ".join,
)
def test_both_print_the_same(both: Both, command: list[str], form: list[str]) -> None:
    # Of somebody whose keys nobody uses meanwhile: how often they were would be told differently.
    for _ in range(2):
        key_id = both.done("keys", "mint", "n", "--scope", "a:b", "--owner", "bob")["key"]["id"]
    asked = [key_id if part == "KEY" else part for part in command] + form
    here, there = both.at_store(*asked), both.by_server(*asked)
    assert (there.code, there.out) == (here.code, here.out)
    assert there.err == here.err


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_decision_is_the_same(both: Both, form: list[str]) -> None:
    secret = both.done("keys", "mint", "n", "--scope", "a:b")["secret"]
    for text, scope in ((secret, "a:b"), (secret, "a:c"), ("not a key", "a:b")):
        asked = ("verify", "--scope", scope, *form)
        here, there = both.at_store(*asked, stdin=text), both.by_server(*asked, stdin=text)
        assert (there.code, there.out) == (here.code, here.out)


@pytest.mark.parametrize(
    "command",
    [["init"], ["serve"], ["pepper", "rotate"], ["events", "check"], ["tenants", "export", "default"]],
    ids=" ".join,
)
def test_what_needs_the_store_itself_says_so(both: Both, command: list[str]) -> None:
    ran = both.by_server(*command)
    assert (ran.code, ran.out) == (78, "")
    assert ran.err == "keyrack: KEYRACK_STORE: names a server; this is done where its store is.\n"


def test_a_server_waits_for_no_tenant(both: Both) -> None:
    ran = both.by_server("tenants", "suspend", "default", "--wait")
    assert (ran.code, "--wait" in ran.err) == (2, True)


def test_without_a_key_or_with_a_wrong_one_nothing_is_done(both: Both, server: Running) -> None:
    both.shell.set("KEYRACK_STORE", server.url)
    assert both.shell("keys", "list").code == 78
    both.shell.set("KEYRACK_KEY", "not-a-key")
    ran = both.shell("keys", "list")
    assert ran.code == 1
    assert "not-a-key" not in ran.err


def test_a_server_that_is_not_there_is_unavailable(both: Both) -> None:
    both.shell.set("KEYRACK_STORE", "http://127.0.0.1:9")
    both.shell.set("KEYRACK_KEY", "a-key")
    ran = both.shell("keys", "list")
    assert (ran.code, "cannot be reached" in ran.err) == (3, True)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_secret_that_was_lost_on_the_way_is_said_to_be(both: Both, form: list[str]) -> None:
    owner = f"lost{len(form)}"
    minted = both.by_a_bad_line("keys", "mint", "n", "--scope", "a:b", "--owner", owner, *form)
    (key,) = both.done("keys", "list", "--owner", owner)["data"]
    assert (minted.code, "Secret, shown" in minted.out, key["id"] in minted.out) == (1, False, True)
    assert "was made, and its secret was lost" in minted.err
    rotated = both.by_a_bad_line("keys", "rotate", key["id"], *form)
    assert (rotated.code, "was rotated, and its secret was lost" in rotated.err) == (1, True)
    (advice,) = re.findall("`keyrack (.*)`", rotated.err)
    assert both.done(*advice.split())["secret"].startswith("kr_live_")


def test_a_change_whose_answer_was_lost_is_not_said_to_be_undone(both: Both) -> None:
    ran = both.by_a_bad_line("tenants", "create", "unheard")
    assert (ran.code, "Nothing was changed" in ran.err) == (3, False)
    assert "It is not known whether anything was changed" in ran.err
    assert len(ran.err.splitlines()) == 2
    assert both.done("tenants", "show", "unheard")["id"] == "unheard"
