"""`keyrack credits`: balances are made, listed, changed and removed, at a store as at a server."""

from __future__ import annotations

import pytest
from cli_bed import Shell
from session_bed import M1

GROUP, KEY = "models", "a-key-that-the-upstream-gave-us"


@pytest.fixture
def house(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell at a store that has a group."""
    monkeypatch.setenv("KEYRACK_MASTER_KEYS", M1)
    bound = ("--header", "x-api-key", "--origin", "https://models.example:443")
    made = shell("upstream", "create", GROUP, *bound, "--tier", "basic=10/daily", stdin=KEY)
    assert made.code == 0, made.err
    return shell


def test_a_balance_is_made_changed_listed_and_removed(house: Shell) -> None:
    made = house.json("credits", "set", "ada", GROUP, "--tier", "basic")
    assert (made["username"], made["available_credits"]) == ("ada", 10)
    until = "2090-01-01T00:00:00Z"
    changed = house.json("credits", "set", "ada", GROUP, "--credits", "3", "--reset", until)
    assert changed == {**made, "available_credits": 3, "reset_date": until}
    house("credits", "set", "eve", GROUP, "--tier", "basic")
    assert house.json("credits", "show", "ada")["data"] == [changed]
    assert house.json("credits", "list", "--search", "AD")["data"] == [changed]
    assert len(house.json("credits", "list")["data"]) == 2
    listed = house("credits", "list", "--limit", "1").out
    assert "ada" in listed
    assert "eve" not in listed
    assert house.json("credits", "remove", "ada", GROUP) == {"username": "ada", "api_credit_group": GROUP}
    assert "eve" in house("credits", "remove", "eve", GROUP).out
    assert house.json("credits", "list")["data"] == []


def test_a_key_names_the_group_in_which_its_owner_pays_or_none(house: Shell) -> None:
    key = house.json("keys", "mint", "ada", "--owner", "ada", "--scope", "a:b", "--credits", GROUP)["key"]
    assert key["credits"] == GROUP
    assert house.json("keys", "update", key["id"], "--clear", "credits")["credits"] is None
    assert house.json("keys", "update", key["id"], "--credits", GROUP)["credits"] == GROUP


@pytest.mark.spec("UG-38")
def test_a_users_own_key_is_read_from_standard_input_and_shown_nowhere(house: Shell) -> None:
    ran = house("credits", "set", "ada", GROUP, "--tier", "basic", "--own-key", stdin="a-key-of-ada-herself")
    assert ran.code == 0
    assert "a-key-of-ada-herself" not in ran.out + ran.err
    assert house.json("credits", "show", "ada")["data"][0]["user_api_key_present"]
    house("credits", "set", "ada", GROUP, "--clear-own-key")
    assert not house.json("credits", "show", "ada")["data"][0]["user_api_key_present"]


def test_a_key_is_given_or_taken_away_and_a_new_balance_needs_a_tier(house: Shell) -> None:
    both = house("credits", "set", "ada", GROUP, "--own-key", "--clear-own-key", "--json")
    assert (both.code, list(both.problem["details"]["fields"])) == (2, ["own_key"])
    without = house("credits", "set", "ada", GROUP, "--credits", "3", "--json")
    assert (without.code, list(without.problem["details"]["fields"])) == (2, ["tier_name"])
