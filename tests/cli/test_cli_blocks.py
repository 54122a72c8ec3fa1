"""`keyrack blocks`: a network is blocked, listed and lifted again."""

from __future__ import annotations

from cli_bed import Shell

NETWORK = "203.0.113.0/24"


def code(shell: Shell, secret: str) -> str:
    answer = shell("verify", "--ip", "203.0.113.9", "--json", stdin=secret).json
    found: str = answer["code"]
    return found


def test_a_network_is_blocked_until_that_is_lifted(shell: Shell) -> None:
    secret = shell.json("keys", "mint", "reader", "--scope", "a:b")["secret"]
    until = "2090-01-01T00:00:00Z"
    made = shell.json("blocks", "add", NETWORK, "--reason", "leaked key", "--expires-at", until)
    assert (made["cidr"], made["reason"], made["expires_at"]) == (NETWORK, "leaked key", until)
    assert code(shell, secret) == "ip_denied"
    assert shell.json("blocks", "list")["data"] == [made]
    listed = shell("blocks", "list").out
    assert NETWORK in listed
    assert "leaked key" in listed
    assert shell.json("blocks", "lift", made["id"]) == {"id": made["id"]}
    assert code(shell, secret) == "ok"
    again = shell("blocks", "lift", made["id"], "--json")
    assert (again.code, again.problem["code"]) == (1, "not_found")


def test_the_blocks_of_a_tenant_are_its_own(shell: Shell) -> None:
    shell.json("tenants", "create", "acme")
    shown = shell("blocks", "add", NETWORK, "--tenant", "acme").out
    assert NETWORK in shown
    assert shell.json("blocks", "list")["data"] == []
    [made] = shell.json("blocks", "list", "--tenant", "acme")["data"]
    assert made["id"] in shell("blocks", "lift", made["id"], "--tenant", "acme").out


def test_what_is_no_network_is_a_matter_of_usage(shell: Shell) -> None:
    ran = shell("blocks", "add", "everybody", "--json")
    assert (ran.code, list(ran.problem["details"]["fields"])) == (2, ["cidr"])
