"""What people ask a key to be: any JSON in any field is taken or refused by name, and does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from drawing import json_values
from engine_bed import OPERATOR, Bed, opened
from hypothesis import given
from hypothesis import strategies as st

from keyrack import Policy, Wish
from keyrack.core.errors import NotFound, ValidationFailed
from keyrack.wishes import Reader, drafted, validated

POLICY = Policy(presets={"ingest": ("a:b",)}, roles={"reader": ("*:read",)})
FIELDS = [one.name for one in fields(Wish)]
CHANGED = ["name", "owner", "scopes", "role", "expires_at", "networks", "limits", "credits", "metadata"]

odd = st.one_of(
    json_values,
    st.text(alphabet=st.characters(), max_size=8),
    st.lists(json_values, max_size=2),
    st.sampled_from(["ingest", "reader", "default", "acme", "live", "kr", "tenant", "2040-01-01T00:00:00Z"]),
    st.just([{"name": "m", "limit": 5, "window_seconds": 60}]),
    st.just({"name": ["m"], "limit": {}, "window_seconds": []}).map(lambda row: [row]),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Bed]:
    with opened("sqlite", policy=POLICY) as bed:
        yield bed


@given(wish=st.dictionaries(st.sampled_from(FIELDS), odd, max_size=4))
def test_any_wish_is_granted_or_refused_by_the_names_of_its_fields(engine: Bed, wish: dict[str, Any]) -> None:
    wrong = refused(lambda: engine.issuer.mint(Wish(**{"name": "n"} | wish), by=OPERATOR))
    assert {name.partition(".")[0] for name in wrong} <= set(wish)


@given(changes=st.dictionaries(st.sampled_from([*CHANGED, "id", "status"]), odd, max_size=4))
def test_any_change_is_made_or_refused_by_the_names_of_its_fields(
    engine: Bed, changes: dict[str, Any]
) -> None:
    minted, _ = engine.mint("a:b")
    wrong = refused(lambda: engine.issuer.update(minted.key.id, changes, by=OPERATOR))
    assert {name.partition(".")[0] for name in wrong} <= set(changes)
    if not wrong:
        after = engine.issuer.get(minted.key.id, by=OPERATOR)
        assert set(changes) <= set(CHANGED)
        assert after.name == changes.get("name", "n")


def refused(work: Any) -> set[str]:
    """The fields that were found wrong; a tenant that does not exist is wrong too."""
    try:
        work()
    except ValidationFailed as error:
        return set(error.details["fields"])
    except NotFound:
        return {"tenant"}
    return set()


def test_a_draft_has_no_secret_yet_and_the_time_and_maker_it_is_given(memory: Bed) -> None:
    key = drafted(Wish("n", scopes=["a:b"]), key_id="K" * 12, by=OPERATOR, policy=POLICY, now=memory.at)
    assert (key.id, key.versions, key.ending, key.revision) == ("K" * 12, (), "", 0)
    assert (key.created_at, key.created_by) == (memory.at, "operator:tests")


def test_what_may_be_changed_is_a_closed_list(memory: Bed) -> None:
    assert validated({}, policy=POLICY, now=memory.at) == {}
    others = [*sorted(set(FIELDS) - set(CHANGED)), "status", "versions", "revision", "id"]
    with pytest.raises(ValidationFailed) as error:
        validated(dict.fromkeys(others), policy=POLICY, now=memory.at)
    assert sorted(error.value.details["fields"]) == sorted(others)


def test_a_closed_list_that_is_empty_says_so() -> None:
    reader = Reader()
    assert reader.among("role", "reader", {}) is None
    assert reader.among("role", None, {}) is None
    with pytest.raises(ValidationFailed) as error:
        reader.finish()
    assert error.value.details["fields"] == {"role": ["Give one of: none is configured."]}
