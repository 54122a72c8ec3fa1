"""The tree of errors: each class has its own public code and status, and details are always an object."""

from __future__ import annotations

import pytest

from keyrack.core import errors
from keyrack.core.errors import KeyrackError

TABLE = {
    "KeyrackError": (500, "internal_error"),
    "InvalidRequest": (400, "invalid_request"),
    "NotHeld": (403, "insufficient_scope"),
    "SecretDated": (403, "secret_dated"),
    "SessionPresented": (403, "session_presented"),
    "NotFound": (404, "not_found"),
    "MethodNotAllowed": (405, "method_not_allowed"),
    "Conflict": (409, "conflict"),
    "StoreExists": (409, "store_exists"),
    "StoreMoved": (409, "store_moved"),
    "PreconditionFailed": (412, "precondition_failed"),
    "PayloadTooLarge": (413, "payload_too_large"),
    "UnsupportedMediaType": (415, "unsupported_media_type"),
    "ValidationFailed": (422, "validation_error"),
    "Unavailable": (503, "unavailable"),
    "Corrupted": (503, "unavailable"),
    "Unsealable": (503, "unavailable"),
    "Tampered": (500, "store_tampered"),
    "ConfigurationError": (500, "configuration_error"),
}
TREE = {
    name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, KeyrackError)
}


def test_the_tree_has_exactly_these_classes_with_these_codes() -> None:
    assert {name: (one.status, one.code) for name, one in TREE.items()} == TABLE


def test_every_class_is_drawn_in_the_module() -> None:
    assert [name for name in TREE if name not in str(errors.__doc__)] == []


@pytest.mark.parametrize("name", TREE)
def test_every_class_says_what_it_is_for(name: str) -> None:
    assert TREE[name].__doc__
    assert TREE[name].title


def test_an_error_may_have_a_code_of_its_own_that_its_class_keeps_nothing_of() -> None:
    assert errors.Conflict("no", code="name_taken").code == "name_taken"
    assert errors.Conflict("no").code == "conflict"
    assert errors.Conflict("no").details == {}
    assert str(errors.Conflict("no")) == errors.Conflict("no").detail == "no"


def test_details_are_a_copy() -> None:
    given = {"a": 1}
    error = errors.InvalidRequest("no", details=given)
    given["a"] = 2
    assert error.details == {"a": 1}


def test_errors_carry_what_they_are_about() -> None:
    assert errors.NotHeld(["a:b", "c:d"]).details == {"not_held": ["a:b", "c:d"]}
    assert "a:b, c:d" in errors.NotHeld(["a:b", "c:d"]).detail
    failed = errors.ValidationFailed({"b": ["x"], "a": ("y", "z")})
    assert failed.details == {"fields": {"b": ["x"], "a": ["y", "z"]}}
    assert failed.detail == "Please correct: a, b."
    assert errors.Unavailable("no").reason == "store_down"
    assert errors.Unavailable("no", reason="stale").reason == "stale"
    assert errors.Tampered("no", number=7).number == 7
    wrong = errors.ConfigurationError("KEYRACK_STORE", "is wrong.")
    assert (wrong.setting, wrong.detail) == ("KEYRACK_STORE", "KEYRACK_STORE: is wrong.")
