"""`keyrack tenants`: each operation, and what it does to the tenant's keys."""

from __future__ import annotations

import pytest
from cli_bed import Shell


def reason(shell: Shell, secret: str) -> str | None:
    answer = shell("verify", "--json", stdin=secret).json
    found: str | None = answer.get("reason")
    return found


@pytest.fixture
def secret(shell: Shell) -> str:
    """The secret of a key of the tenant acme."""
    shell.json("tenants", "create", "acme")
    found: str = shell.json("keys", "mint", "reader", "--tenant", "acme")["secret"]
    return found


def test_a_tenant_is_created_with_all_that_it_is_given(shell: Shell) -> None:
    tenant = shell.json(
        "tenants", "create", "acme", "--name", "Acme", "--starts-at", "2020-01-01T00:00:00Z",
        "--ends-at", "2040-01-01T00:00:00Z", "--limit", "minute=60/60", "--quota", '{"limit": 5}',
        "--metadata", '{"plan": "basic"}',
    )  # fmt: skip
    assert (tenant["id"], tenant["name"]) == ("acme", "Acme")
    assert (tenant["starts_at"], tenant["ends_at"]) == ("2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z")
    assert tenant["limits"] == [{"name": "minute", "limit": 60, "window_seconds": 60}]
    assert (tenant["quota"], tenant["metadata"]) == ({"limit": 5}, {"plan": "basic"})
    assert shell.json("tenants", "show", "acme") == tenant
    assert "minute=60/60" in shell("tenants", "show", "acme").out


@pytest.mark.parametrize(
    ("tenant", "given", "field"),
    [
        ("_acme", (), "id"),
        ("acme", ("--quota", "5"), "quota"),
        ("acme", ("--metadata", "{"), "metadata"),
        ("acme", ("--starts-at", "soon"), "starts_at"),
    ],
)
def test_a_field_outside_its_rule_is_a_matter_of_usage(
    shell: Shell, tenant: str, given: tuple[str, ...], field: str
) -> None:
    ran = shell("tenants", "create", tenant, *given, "--json")
    assert (ran.code, list(ran.problem["details"]["fields"])) == (2, [field])


def test_an_id_is_used_once(shell: Shell, secret: str) -> None:
    assert shell("tenants", "create", "acme", "--json").problem["code"] == "tenant_exists"
    shell.json("tenants", "delete", "acme", "--wait")
    ran = shell("tenants", "create", "acme", "--json")
    assert (ran.code, ran.problem["code"]) == (1, "tenant_exists")


def test_tenants_are_listed_in_pages(shell: Shell) -> None:
    for name in ("a", "b"):
        shell.json("tenants", "create", name)
    first = shell.json("tenants", "list", "--limit", "2")
    rest = shell.json("tenants", "list", "--cursor", first["next_cursor"])
    assert [one["id"] for one in first["data"] + rest["data"]] == ["default", "a", "b"]
    assert "default" in shell("tenants", "list").out


def test_an_update_changes_what_is_given_and_clears_what_is_named(shell: Shell, secret: str) -> None:
    changed = shell.json("tenants", "update", "acme", "--name", "New", "--ends-at", "2040-01-01T00:00:00Z")
    assert (changed["name"], changed["ends_at"]) == ("New", "2040-01-01T00:00:00Z")
    cleared = shell.json("tenants", "update", "acme", "--clear", "ends_at")
    assert (cleared["name"], cleared["ends_at"]) == ("New", None)
    ran = shell("tenants", "update", "acme", "--name", "Old", "--if-match", "1", "--json")
    assert (ran.code, ran.problem["code"]) == (1, "precondition_failed")


def test_a_suspended_tenants_keys_are_denied_until_it_is_resumed(shell: Shell, secret: str) -> None:
    shell.json("tenants", "suspend", "acme", "--reason", "unpaid", "--wait")
    assert reason(shell, secret) == "suspended"
    shell.json("tenants", "resume", "acme")
    assert reason(shell, secret) is None
    assert shell.json("tenants", "suspend", "acme", "--service", "query")["suspended"] == ["query"]
    assert shell("tenants", "suspend", "acme", "--service", "billing").code == 2


def test_a_deleted_tenants_keys_stop(shell: Shell, secret: str) -> None:
    shell.json("tenants", "delete", "acme")
    assert reason(shell, secret) == "suspended"
    for operation in ("show", "update", "suspend", "resume", "delete"):
        ran = shell("tenants", operation, "acme", "--json")
        assert (ran.code, ran.problem["code"]) == (1, "not_found")


def test_the_default_tenant_cannot_be_deleted(shell: Shell) -> None:
    assert shell("tenants", "delete", "default").code == 1
