"""A key made ready: exactly its own texts prove it, each as its own version, under the pepper it names."""

from __future__ import annotations

from dataclasses import replace

from drawing import LIVE, NOW, keys, scope_sets
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.checks import rules_for
from keyrack.core.model import Key, Secret, VersionState
from keyrack.core.peppers import Peppers
from keyrack.core.prepared import matching, nobody, prepare, prove
from keyrack.core.scopes import meet

PEPPERS = Peppers.parse("p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U,p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA")
texts = st.binary(min_size=1, max_size=20)


def version(number: int, text: bytes, pepper: str, *, foreign: bool = False) -> Secret:
    mac = PEPPERS[pepper].index if foreign else PEPPERS[pepper].digest
    return Secret(number, VersionState.LIVE, NOW, pepper, mac.digest(text), None, foreign)


@st.composite
def keys_and_texts(draw: st.DrawFn) -> tuple[Key, dict[int, tuple[bytes, bool]]]:
    """A key of up to four versions under any peppers, and the text of each and whether it is foreign."""
    unlike = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    known = {number: (text, draw(st.booleans())) for number, text in enumerate(unlike, start=1)}
    versions = [
        version(number, text, draw(st.sampled_from(["p1", "p2"])), foreign=foreign)
        for number, (text, foreign) in known.items()
    ]
    return draw(keys(versions=tuple(versions), role=None)), known


@given(keys_and_texts(), texts)
def test_a_text_proves_the_version_that_it_is_and_no_other_text_proves_any(
    drawn: tuple[Key, dict[int, tuple[bytes, bool]]], stranger: bytes
) -> None:
    key, known = drawn
    prepared = prepare(key, PEPPERS, {})
    for number, (text, foreign) in known.items():
        answer = prove(prepared, text)
        assert (answer.secret.number if answer else None) == (None if foreign else number)
    if stranger not in [text for text, _ in known.values()]:
        assert prove(prepared, stranger) is None


@given(keys_and_texts())
def test_a_foreign_text_is_matched_by_the_digest_that_it_is_found_by(
    drawn: tuple[Key, dict[int, tuple[bytes, bool]]],
) -> None:
    key, known = drawn
    prepared = prepare(key, PEPPERS, {})
    for number, (_, foreign) in known.items():
        answer = matching(prepared.foreign, key.versions[number - 1].digest)
        assert (answer.secret.number if answer else None) == (number if foreign else None)


@given(keys(), st.dictionaries(st.sampled_from(["reader", "writer"]), scope_sets))
def test_a_role_is_a_ceiling_and_one_that_is_not_known_leaves_nothing(
    key: Key, roles: dict[str, tuple[str, ...]]
) -> None:
    (answer,) = prepare(key, PEPPERS, roles).answers
    assert (answer.key, answer.secret, answer.rates) == (key, key.versions[0], ())
    assert answer.scopes == (meet(key.scopes, roles.get(key.role, ())) if key.role else key.scopes)
    assert prepare(key, PEPPERS, roles).rules == rules_for(key)


def test_a_version_under_a_pepper_that_was_not_given_proves_nothing_and_costs_a_digest_all_the_same() -> None:
    key = replace(KEY, versions=(replace(LIVE, pepper="p9"),))
    prepared = prepare(key, PEPPERS, {})
    assert prove(prepared, b"any text") is None
    assert len(prepared.proofs) == len(nobody(PEPPERS).proofs) == 1


def test_nobody_is_proved_by_no_text() -> None:
    stranger = nobody(PEPPERS)
    assert prove(stranger, b"any text") is None
    assert matching(stranger.foreign, bytes(32)) is None
    assert (stranger.answers, stranger.rules) == ((), ())


KEY = Key(
    id="K" * 12,
    prefix="kr",
    environment="live",
    tenant="acme",
    name="n",
    scopes=(),
    created_at=NOW,
    created_by="operator:a",
    versions=(LIVE,),
    ending="wxyz",
)
