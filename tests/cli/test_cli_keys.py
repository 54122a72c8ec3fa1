"""`keyrack keys`: each operation does what the HTTP API's does, and is shown as that shows it."""

from __future__ import annotations

from typing import Any

import pytest
from cli_bed import Shell

ABSENT = "AbCdEfGhIjKl"


@pytest.fixture
def minted(shell: Shell) -> Any:
    """A key that reads logs, and its secret."""
    return shell.json("keys", "mint", "reader", "--scope", "logs:read")


@pytest.fixture
def key_id(minted: Any) -> str:
    found: str = minted["key"]["id"]
    return found


def verified(shell: Shell, secret: str) -> Any:
    return shell("verify", "--json", stdin=secret).json


def test_a_key_is_minted_with_all_that_it_is_given(shell: Shell) -> None:
    minted = shell.json(
        "keys", "mint", "reader", "--scope", "logs:read", "--scope", "logs:write", "--owner", "ada",
        "--environment", "test", "--expires-at", "2040-01-31T12:00:00Z", "--network", "10.0.0.0/8",
        "--limit", "minute=60/60", "--limit", "day=1000/86400", "--metadata", '{"team": "ops"}',
    )  # fmt: skip
    key = minted["key"]
    assert minted["secret"].startswith(f"kr_test_{key['id']}")
    assert (key["name"], key["owner"], key["environment"]) == ("reader", "ada", "test")
    assert key["scopes"] == ["logs:read", "logs:write"]
    assert key["expires_at"] == "2040-01-31T12:00:00Z"
    assert key["networks"] == ["10.0.0.0/8"]
    assert key["limits"] == [
        {"name": "minute", "limit": 60, "window_seconds": 60},
        {"name": "day", "limit": 1000, "window_seconds": 86400},
    ]
    assert key["metadata"] == {"team": "ops"}
    assert key["created_by"].startswith("operator:")


def test_presets_and_roles_come_from_the_policy(shell: Shell) -> None:
    policy = shell.folder / "policy.toml"
    policy.write_text('[presets]\ningest = ["streams/*:ingest"]\n[roles]\nuser = ["streams/*:*"]\n')
    shell.set("KEYRACK_POLICY", str(policy))
    key = shell.json("keys", "mint", "sender", "--preset", "ingest", "--role", "user")["key"]
    assert (key["preset"], key["role"], key["scopes"]) == ("ingest", "user", ["streams/*:ingest"])


def test_people_see_the_secret_this_once(shell: Shell) -> None:
    ran = shell("keys", "mint", "reader", "--scope", "logs:read")
    secret = ran.out.splitlines()[0].removeprefix("Secret, shown this once: ")
    assert verified(shell, secret)["valid"]
    assert secret not in shell("keys", "list").out + shell("keys", "list", "--json").out


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("--scope", "logs"), "scopes"),
        (("--network", "10.0.0.1/8"), "networks.0"),
        (("--limit", "minute:60"), "limit"),
        (("--metadata", "{"), "metadata"),
        (("--metadata", "[1]"), "metadata"),
        (("--expires-at", "2000-01-01T00:00:00Z"), "expires_at"),
        (("--expires-at", "2040-01-01"), "expires_at"),
        (("--environment", "moon"), "environment"),
        (("--preset", "none"), "preset"),
    ],
)
def test_a_field_outside_its_rule_is_a_matter_of_usage(
    shell: Shell, given: tuple[str, str], field: str
) -> None:
    ran = shell("keys", "mint", "reader", *given, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert list(ran.problem["details"]["fields"]) == [field]
    assert f"  {field}: " in shell("keys", "mint", "reader", *given).err


def test_a_name_that_is_to_be_unique_is_refused_the_second_time(shell: Shell) -> None:
    given = ("keys", "mint", "reader", "--unique", "tenant")
    assert shell(*given).code == 0
    ran = shell(*given, "--json")
    assert (ran.code, ran.problem["code"]) == (1, "name_taken")


def test_keys_are_listed_in_pages_and_by_tenant_and_owner(shell: Shell) -> None:
    shell.json("tenants", "create", "acme")
    for name, owner, tenant in (("a", "ada", "default"), ("b", "bob", "default"), ("c", "ada", "acme")):
        shell.json("keys", "mint", name, "--owner", owner, "--tenant", tenant)

    def names(*given: str) -> list[str]:
        return [key["name"] for key in shell.json("keys", "list", *given)["data"]]

    assert names() == ["root", "a", "b", "c"]
    assert names("--tenant", "default", "--owner", "ada") == ["a"]
    first = shell.json("keys", "list", "--limit", "3")
    assert names("--cursor", first["next_cursor"]) == ["c"]
    assert "--cursor" in shell("keys", "list", "--limit", "3").err


def test_a_key_is_shown_with_its_versions(shell: Shell, key_id: str) -> None:
    shown = shell.json("keys", "show", key_id)
    assert (shown["id"], [one["state"] for one in shown["versions"]]) == (key_id, ["live"])
    assert "logs:read" in shell("keys", "show", key_id).out


@pytest.mark.parametrize(
    "operation",
    ["show", "rotate", "promote", "abort", "undo", "revoke", "disable", "enable", "update"],
)
def test_a_key_that_there_is_not_is_not_found(shell: Shell, operation: str) -> None:
    ran = shell("keys", operation, ABSENT, "--json")
    assert (ran.code, ran.problem["code"]) == (1, "not_found")


def test_an_update_changes_what_is_given_and_clears_what_is_named(shell: Shell, key_id: str) -> None:
    changed = shell.json(
        "keys", "update", key_id, "--name", "writer", "--scope", "logs:write", "--owner", "ada",
        "--network", "10.0.0.0/8", "--limit", "minute=60/60", "--metadata", '{"a": 1}',
        "--expires-at", "2040-01-31T12:00:00Z",
    )  # fmt: skip
    assert (changed["name"], changed["scopes"], changed["owner"]) == ("writer", ["logs:write"], "ada")
    cleared = shell.json(
        "keys", "update", key_id, "--clear", "owner", "--clear", "networks", "--clear", "limits",
        "--clear", "metadata", "--clear", "expires_at",
    )  # fmt: skip
    assert (cleared["owner"], cleared["networks"], cleared["limits"]) == (None, [], [])
    assert (cleared["metadata"], cleared["expires_at"], cleared["name"]) == ({}, None, "writer")
    assert shell("keys", "update", key_id, "--clear", "scopes").code == 2


@pytest.mark.parametrize("operation", ["update", "rotate", "disable", "enable", "promote", "abort", "undo"])
def test_a_stale_revision_changes_nothing(shell: Shell, key_id: str, operation: str) -> None:
    ran = shell("keys", operation, key_id, "--if-match", "1", "--json")
    assert (ran.code, ran.problem["code"]) == (1, "precondition_failed")


def test_a_rotated_key_has_a_new_secret_and_the_old_one_goes_on(shell: Shell, minted: Any) -> None:
    rotated = shell.json("keys", "rotate", minted["key"]["id"], "--grace-seconds", "3600")
    assert rotated["key"]["rotation"] == "active"
    assert verified(shell, minted["secret"])["valid"]
    assert verified(shell, rotated["secret"])["version"] == 2


def test_promote_ends_the_grace_and_undo_brings_the_old_secret_back(shell: Shell, minted: Any) -> None:
    key_id = minted["key"]["id"]
    shell.json("keys", "rotate", key_id)
    shell.json("keys", "promote", key_id)
    assert verified(shell, minted["secret"])["reason"] == "retired"
    shell.json("keys", "undo", key_id)
    assert verified(shell, minted["secret"])["valid"]


def test_abort_drops_the_new_secret(shell: Shell, minted: Any) -> None:
    rotated = shell.json("keys", "rotate", minted["key"]["id"])
    shell.json("keys", "abort", minted["key"]["id"])
    assert not verified(shell, rotated["secret"])["valid"]
    assert verified(shell, minted["secret"])["valid"]


def test_a_second_rotation_needs_force_and_a_compromised_key_has_no_grace(shell: Shell, minted: Any) -> None:
    key_id = minted["key"]["id"]
    shell.json("keys", "rotate", key_id)
    assert shell("keys", "rotate", key_id).code == 1
    shell.json("keys", "rotate", key_id, "--force")
    rotated = shell.json("keys", "rotate", key_id, "--compromised")
    assert [one["state"] for one in rotated["key"]["versions"]].count("live") == 1
    assert not verified(shell, minted["secret"])["valid"]


@pytest.mark.parametrize("seconds", ["0", "60", "604801"])
def test_a_grace_out_of_range_is_a_matter_of_usage(shell: Shell, key_id: str, seconds: str) -> None:
    assert shell("keys", "rotate", key_id, "--grace-seconds", seconds).code == 2


def test_a_disabled_key_is_denied_until_it_is_enabled(shell: Shell, minted: Any) -> None:
    key_id = minted["key"]["id"]
    assert shell.json("keys", "disable", key_id)["status"] == "disabled"
    assert verified(shell, minted["secret"])["reason"] == "disabled"
    assert shell.json("keys", "enable", key_id)["status"] == "active"
    assert verified(shell, minted["secret"])["valid"]


def test_a_revoked_key_stays_revoked_and_says_why(shell: Shell, minted: Any) -> None:
    key_id = minted["key"]["id"]
    revoked = shell.json("keys", "revoke", key_id, "--reason", "lost laptop", "--wait")
    assert (revoked["status"], revoked["revoked_reason"]) == ("revoked", "lost laptop")
    assert shell.json("keys", "revoke", key_id)["revision"] == revoked["revision"]
    assert verified(shell, minted["secret"])["reason"] == "revoked"
    ran = shell("keys", "enable", key_id, "--json")
    assert (ran.code, ran.problem["code"]) == (1, "key_revoked")


def test_names_are_shown_as_they_are_and_never_as_markup(shell: Shell) -> None:
    shell.json("keys", "mint", "[red]reader[/red]")
    assert "[red]reader[/red]" in shell("keys", "list").out


def test_keys_in_the_environment_are_listed_and_cannot_be_changed(bare: Shell) -> None:
    bare.set("SERVICE_KEY", "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zB")
    bare.set("KEYRACK_STORE", "env:SERVICE_KEY")
    bare.set("KEYRACK_DEV", "on")
    (key,) = bare.json("keys", "list")["data"]
    assert bare.json("verify", stdin="aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zB")["key_id"] == key["id"]
    ran = bare("keys", "disable", key["id"], "--json")
    assert (ran.code, ran.problem["code"]) == (1, "unsupported_store")
