"""The words of the system as values: frozen, and none of them shows a secret or a digest."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
from drawing import LIVE, NOW, keys
from hypothesis import given

from keyrack.core import model
from keyrack.core.model import Access, Key, Limit, Rate, Secret, Tenant, VersionState

VALUES = [Access(), Limit("a", 1, 1), Rate("a", 1, 1, 1, 0.0), LIVE, Tenant("a", "a", NOW)]


@given(keys())
def test_a_hint_shows_four_characters_of_the_id_and_four_of_the_text(key: Key) -> None:
    assert key.hint == f"{key.prefix}_{key.environment}_{key.id[:4]}…{key.ending}"
    assert key.id not in key.hint


@given(keys(versions=(Secret(1, VersionState.LIVE, NOW, "p1", b"a digest of 32 bytes, never shown"),)))
def test_no_form_of_a_key_shows_a_digest(key: Key) -> None:
    assert "a digest" not in f"{key!r} {key} {key.versions}"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_frozen(value: object) -> None:
    assert is_dataclass(value)
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)


@given(keys())
def test_a_key_is_frozen(key: Key) -> None:
    with pytest.raises(FrozenInstanceError):
        key.scopes = ("*:*",)


def test_an_access_without_anything_asks_for_a_live_key_and_costs_one() -> None:
    assert Access() == Access((), None, ("live",), (), None, 1, (), None)


def test_decisions_are_told_apart_by_their_type_and_carry_their_key() -> None:
    assert model.Denied(model.Reason.UNKNOWN).key is None
    assert dict(model.Denied(model.Reason.UNKNOWN).details) == {}
    assert model.Decision == model.Allowed | model.Denied
