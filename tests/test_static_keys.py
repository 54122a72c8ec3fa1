"""Keys from the environment that have the form of ours: found by their text, not by the id in it."""

from __future__ import annotations

import pytest

from keyrack import Access, Authority, Denied, Policy, Reason, StaticKeys, Verifier, Wish
from keyrack.core.credential import CHECKSUM_LENGTH, checksum
from keyrack.testing import PEPPERS, open_memory

READ = Access(scopes=("things:read",))
POLICY = Policy(presets={"reader": ("things:read",)})
STATIC = StaticKeys({"somebody": ("SOMEBODY_KEY", "reader")})


@pytest.fixture
def written() -> tuple[str, str]:
    """Two texts of our form, from another store."""
    with open_memory() as other:
        minted = [
            other.issuer().mint(Wish(name, scopes=[]), by=Authority.operator("test"))
            for name in ("one", "two")
        ]
    first, second = (str(one.secret) for one in minted)
    return first, second


def test_a_current_and_a_previous_key_of_our_form_both_pass(
    written: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODY_KEY", written[0])
    monkeypatch.setenv("SOMEBODY_KEY_PREVIOUS", written[1])
    with Verifier.open("env:", peppers=PEPPERS, policy=POLICY, static=STATIC) as verifier:
        decisions = [verifier.verify(text, READ) for text in written]
    assert [decision.key.owner for decision in decisions if decision.key] == ["somebody", "somebody"]
    assert not [decision for decision in decisions if isinstance(decision, Denied)]


def test_another_secret_of_the_same_id_is_unknown(
    written: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODY_KEY", written[0])
    body = written[0][: -CHECKSUM_LENGTH - 1] + ("A" if written[0][-CHECKSUM_LENGTH - 1] != "A" else "B")
    with Verifier.open("env:", peppers=PEPPERS, policy=POLICY, static=STATIC) as verifier:
        decision = verifier.verify(body + checksum(body.encode()), READ)
    assert isinstance(decision, Denied)
    assert decision.reason is Reason.UNKNOWN


def test_a_minted_key_is_found_by_its_id_beside_static_ones(
    written: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODY_KEY", written[0])
    with Verifier.open("memory:", peppers=PEPPERS, policy=POLICY, static=STATIC) as verifier:
        minted = verifier.issuer().mint(Wish("own", preset="reader"), by=Authority.operator("test"))
        decision = verifier.verify(str(minted.secret), READ)
    assert decision.key is not None
    assert decision.key.name == "own"
