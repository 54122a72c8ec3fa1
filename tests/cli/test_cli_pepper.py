"""`keyrack pepper rotate` and what `keyrack doctor` says before and after."""

from __future__ import annotations

from typing import Any

import pytest
from cli_bed import NEW_PEPPERS, PEPPERS, Shell


@pytest.fixture
def secret(bare: Shell) -> str:
    """The secret of a key in a store under the old pepper; the new one is in front by now."""
    bare.set("KEYRACK_PEPPERS", PEPPERS)
    bare.json("init")
    found: str = bare.json("keys", "mint", "reader", "--scope", "logs:read")["secret"]
    bare.set("KEYRACK_PEPPERS", NEW_PEPPERS)
    return found


def digests(shell: Shell) -> Any:
    checks = shell("doctor", "--json").json["checks"]
    return next(check["detail"] for check in checks if check["name"] == "old digests")


def test_the_first_pepper_takes_over_and_every_key_goes_on(bare: Shell, secret: str) -> None:
    rotated = bare.json("pepper", "rotate")
    assert rotated == {"event": 5, "resealed": 3}
    assert bare.json("verify", "--scope", "logs:read", stdin=secret)["valid"]
    assert bare("events", "check").code == 0


def test_repeating_it_changes_nothing(bare: Shell, secret: str) -> None:
    assert "with event 5; 3 records" in bare("pepper", "rotate").out
    assert bare.json("pepper", "rotate") == {"event": None, "resealed": 0}
    assert "before" in bare("pepper", "rotate").out


def test_a_node_with_the_old_pepper_in_front_is_told_so(bare: Shell, secret: str) -> None:
    bare.json("pepper", "rotate")
    bare.set("KEYRACK_PEPPERS", ",".join(reversed(NEW_PEPPERS.split(","))))
    ran = bare("keys", "mint", "late")
    assert (ran.code, "begins with 'p1'" in ran.err) == (78, True)


def test_the_doctor_says_how_many_keys_still_need_the_old_pepper(bare: Shell, secret: str) -> None:
    assert digests(bare) == "no secret needs a pepper that was rotated out"
    bare.json("pepper", "rotate")
    assert digests(bare) == "2 keys have a secret that needs p1 until it is next used"
    bare.json("verify", stdin=secret)
    assert digests(bare) == "1 keys have a secret that needs p1 until it is next used"


def test_a_store_that_was_altered_is_not_taken_over(bare: Shell, secret: str) -> None:
    bare.alter("UPDATE records SET mac = x'00'")
    assert bare("pepper", "rotate").code == 3
