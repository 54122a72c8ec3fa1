"""`keyrack copy`, with and without `--seal`."""

from __future__ import annotations

import pytest
from cli_bed import PEPPERS, Shell

TO = "sqlite:///to.db"


@pytest.fixture
def secret(bare: Shell) -> str:
    """The secret of a key in the default store."""
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    bare.json("init")
    found: str = bare.json("keys", "mint", "reader", "--scope", "logs:read")["secret"]
    return found


def test_a_copy_verifies_the_keys_of_its_source(bare: Shell, secret: str) -> None:
    done = bare.json("copy", "sqlite:///keyrack.db", TO)
    assert done == {"events": 4, "records": 3, "missing": 0, "sealed": False}
    assert bare.json("verify", "--store", TO, "--scope", "logs:read", stdin=secret)["valid"]
    assert "holds events 1 to 4 and 3 records" in bare("copy", "sqlite:///keyrack.db", TO).out


def test_a_sealed_store_refuses_every_change_and_names_the_other(bare: Shell, secret: str) -> None:
    assert "The source is closed" in bare("copy", "sqlite:///keyrack.db", TO, "--seal").out
    refused = bare("keys", "mint", "late", "--json")
    assert (refused.code, refused.problem["code"]) == (1, "store_moved")
    assert TO in refused.problem["detail"]
    assert bare("keys", "mint", "late", "--store", TO).code == 0
    assert bare("events", "check", "--store", TO).code == 0


def test_a_store_that_holds_keys_is_no_target(bare: Shell, secret: str) -> None:
    bare.json("init", "--store", TO)
    refused = bare("copy", "sqlite:///keyrack.db", TO, "--json")
    assert (refused.code, refused.problem["code"]) == (1, "store_not_empty")


@pytest.mark.parametrize("url", ["env:", "memory:", "https://keyrack.example"])
def test_what_keeps_no_keys_is_neither_end(bare: Shell, secret: str, url: str) -> None:
    assert bare("copy", url, TO).code == 78
    assert bare("copy", "sqlite:///keyrack.db", url).code == 78
