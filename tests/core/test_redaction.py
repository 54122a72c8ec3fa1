"""What is secret by its name or its shape is left out, whatever stands around it; nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keyrack.core.redaction import REDACTED, SECRET_FIELDS, redacted

HEX = "0123456789abcdef" * 2
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
KEY = "kr_live_" + "a1" * 25


@pytest.mark.spec("UG-5")
@pytest.mark.parametrize("name", sorted(SECRET_FIELDS))
def test_a_secret_is_known_by_the_name_of_its_field(name: str) -> None:
    given = {name: "plain", name.upper(): "plain", "inside": [{name.title(): ["plain"]}]}
    assert redacted(given) == {
        name: REDACTED,
        name.upper(): REDACTED,
        "inside": [{name.title(): REDACTED}],
    }


@pytest.mark.spec("UG-5")
@pytest.mark.parametrize(
    "secret",
    [
        f"Bearer {'x' * 8}",
        f"bearer  {HEX[:16]}.{HEX[:16]}",
        "Basic dXNlcjpwYXNzd29yZA==",
        JWT,
        "sk-abcdef123456",
        "sk-proj-Abc_def-123456",
        "sk_live_abcdef123456",
        HEX,
        HEX.upper(),
        HEX * 3,
        KEY,
        "ci_test_" + "Z9" * 25,
    ],
)
@pytest.mark.parametrize("text", ["{}", "see {} there", "({})", "a={}&b=c", '"{}"'])
def test_a_secret_is_known_by_its_shape(secret: str, text: str) -> None:
    found = redacted({"note": text.format(secret), "notes": [text.format(secret)], text.format(secret): 1})
    assert secret not in repr(found)
    assert found["note"] == text.format(REDACTED)


@pytest.mark.spec("UG-5")
@pytest.mark.parametrize(
    "value",
    [
        "Bearer {key}",
        "x-api-key",
        "https://api.example:443",
        "task-force-of-twelve",
        "deadbeef",
        "the bearer of this",
        "",
        5,
        None,
        True,
        1.5,
        ["a", ["b"]],
        {"tier_name": "basic", "credits": 10},
    ],
)
def test_what_is_no_secret_stays(value: object) -> None:
    assert redacted({"value": value}) == {"value": value}


def test_a_null_in_the_place_of_a_secret_stays_a_null() -> None:
    assert redacted({"api_key_new": None}) == {"api_key_new": None}


def test_times_are_written_as_json_has_them() -> None:
    assert redacted({"at": datetime(2030, 1, 2, tzinfo=UTC)}) == {"at": "2030-01-02T00:00:00Z"}
