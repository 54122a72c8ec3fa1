"""The rules of each field, row by row, and that no input breaks one of them in another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from drawing import json_values
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core import fields
from keyrack.core.errors import ValidationFailed
from keyrack.core.model import Limit

NESTED_33: Any = {}
for _ in range(32):
    NESTED_33 = {"a": NESTED_33}
NESTED_LISTS_32: Any = []
for _ in range(31):
    NESTED_LISTS_32 = [NESTED_LISTS_32]
NESTED_DEEPER_THAN_PYTHON: Any = []
for _ in range(100_000):
    NESTED_DEEPER_THAN_PYTHON = [NESTED_DEEPER_THAN_PYTHON]

LIMIT = {"name": "m", "limit": 5, "window_seconds": 60}

TAKEN: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (fields.name, "n", "n"),
    (fields.name, "é漢 " * 25, "é漢 " * 25 + ""),
    (fields.name, "x" * 100, "x" * 100),
    (fields.reason, "x", "x"),
    (fields.reason, "x" * 500, "x" * 500),
    (fields.scopes, [], ()),
    (fields.scopes, ["b:c", "a:b", "b:c"], ("b:c", "a:b")),
    (fields.scopes, tuple(f"a{n}:b" for n in range(100)), tuple(f"a{n}:b" for n in range(100))),
    (fields.scopes, ["a:b"] * 500, ("a:b",)),
    (fields.networks, [], ()),
    (fields.networks, ["10.0.0.0/8", "10.0.0.0/8"], (ip_network("10.0.0.0/8"),)),
    (
        fields.networks,
        [f"10.0.0.{n}" for n in range(100)],
        tuple(ip_network(f"10.0.0.{n}") for n in range(100)),
    ),
    (fields.network, "10.1.2.3", ip_network("10.1.2.3/32")),
    (fields.network, "2001:db8::/32", ip_network("2001:db8::/32")),
    (fields.network, "2001:db8::/100", ip_network("2001:db8::/100")),
    (fields.network, "::ffff:10.0.0.0/104", ip_network("10.0.0.0/8")),
    (fields.network, "::ffff:0:0/96", ip_network("0.0.0.0/0")),
    (fields.network, "::/0", ip_network("::/0")),
    (fields.address, "10.0.0.1", ip_address("10.0.0.1")),
    (fields.address, "::ffff:10.0.0.1", ip_address("10.0.0.1")),
    (fields.address, "fe80::1%eth0", ip_address("fe80::1")),
    (fields.limits, [], ()),
    (fields.limits, [LIMIT, Limit("h", 1, 1)], (Limit("m", 5, 60), Limit("h", 1, 1))),
    (
        fields.limits,
        [LIMIT | {"limit": 10**9, "window_seconds": 366 * 86400}],
        (Limit("m", 10**9, 31622400),),
    ),
    (
        fields.limits,
        [LIMIT | {"name": f"{n}" * 50} for n in range(10)],
        tuple(Limit(f"{n}" * 50, 5, 60) for n in range(10)),
    ),
    (fields.metadata, {}, {}),
    (fields.metadata, {"a": [1, 2.5, None, True, {"b": "é"}]}, {"a": [1, 2.5, None, True, {"b": "é"}]}),
    (fields.metadata, {"a": "x" * 4088}, {"a": "x" * 4088}),
    (fields.metadata, NESTED_33["a"], NESTED_33["a"]),
    (fields.metadata, {"a": (1, 2)}, {"a": [1, 2]}),
    (fields.metadata, {1: "a"}, {"1": "a"}),
]

REFUSED: list[tuple[Callable[[Any], Any], Any]] = [
    *[(fields.name, value) for value in ["", "x" * 101, "a\nb", "a\0", "\u200b", "\ud800", None, 5, ["a"]]],
    *[(fields.reason, value) for value in ["", "x" * 501, "a\tb", None]],
    *[
        (fields.scopes, value)
        for value in ["a:b", None, {"a:b": 1}, ["a"], [5], ["a:b", None], ["A:B"], [["a:b"]]]
    ],
    (fields.scopes, [f"a{n}:b" for n in range(101)]),
    *[(fields.networks, value) for value in ["10.0.0.0/8", None, [None], ["x"], ["10.0.0.0/8"] * 101]],
    *[
        (fields.network, value)
        for value in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "",
            None,
            5,
            "10.0.0.0/8\n",
            ["10.0.0.0/8"],
            "fe80::%eth0/64",
        ]
    ],
    *[(fields.address, value) for value in ["10.0.0.0/8", "10.0.0.256", "", None, 167772161, b"\n\0\0\1"]],
    *[(fields.limits, value) for value in [None, "m", [None], [{}], [LIMIT, LIMIT], [LIMIT | {"x": 1}]]],
    (fields.limits, [LIMIT | {"name": f"m{n}"} for n in range(11)]),
    *[
        (fields.limits, [LIMIT | {"name": name}])
        for name in ["", "x" * 51, 'a"b', "a b", "é", "a;b", None, 5, "²"]
    ],
    *[(fields.limits, [LIMIT | {"limit": count}]) for count in [0, -1, 10**9 + 1, True, 1.0, "1", None]],
    *[(fields.limits, [LIMIT | {"window_seconds": s}]) for s in [0, -1, 31622401, True, 60.0, None]],
    *[(fields.metadata, value) for value in [None, [], "{}", {"a": float("nan")}, {"a": float("inf")}]],
    *[(fields.metadata, value) for value in [{"a": object()}, {"a": b"x"}, {"a": "\ud800"}, {("a",): 1}]],
    *[(fields.metadata, value) for value in [{"a": "x" * 4089}, {"a": "é" * 2045}, NESTED_33]],
    (fields.metadata, {"a": NESTED_LISTS_32}),
    (fields.metadata, {"a": NESTED_DEEPER_THAN_PYTHON}),
]


@pytest.mark.parametrize(
    ("rule", "value", "expected"), TAKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rule_takes(rule: Callable[[Any], Any], value: Any, expected: Any) -> None:
    assert rule(value) == expected


@pytest.mark.parametrize(("rule", "value"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_refuses_and_names_its_field(rule: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValidationFailed) as error:
        rule(value)
    named = {"network": "network", "address": "ip"}.get(rule.__name__, rule.__name__)
    (field,) = error.value.details["fields"]
    assert field.partition(".")[0] == named
    assert all(messages for messages in error.value.details["fields"].values())


def refusal(rule: Callable[[Any], Any], value: Any) -> str:
    """What the rule says against this value, empty when it takes it."""
    try:
        rule(value)
    except ValidationFailed as error:
        return str(error.details)
    return ""


RULES = [fields.name, fields.reason, fields.scopes, fields.networks, fields.network, fields.address]
RULES += [fields.limits, fields.metadata, lambda value: fields.instant(value, "at")]
limit_like = st.fixed_dictionaries(
    {"name": json_values, "limit": json_values, "window_seconds": json_values}
).map(lambda row: [row])


@given(st.sampled_from(RULES), json_values | st.text() | limit_like | st.lists(st.text()))
def test_no_json_value_does_more_than_be_refused(rule: Callable[[Any], Any], value: Any) -> None:
    said = refusal(rule, value)
    assert len(str(value)) < 8 or str(value) not in said


@given(json_values)
def test_metadata_is_taken_as_it_will_be_read_back(value: Any) -> None:
    taken = fields.metadata({"a": value})
    assert taken == json.loads(json.dumps(taken)) == {"a": value}
    if isinstance(value, list | dict):
        assert taken["a"] is not value


INSTANTS = {
    "2030-01-31T12:00:00Z": datetime(2030, 1, 31, 12, tzinfo=UTC),
    "2030-01-31T12:00:00+02:00": datetime(2030, 1, 31, 10, tzinfo=UTC),
    "2030-01-31T12:00:00.25-00:30": datetime(2030, 1, 31, 12, 30, 0, 250000, tzinfo=UTC),
    "2030-01-31 12:00:00+00:00": datetime(2030, 1, 31, 12, tzinfo=UTC),
}


@pytest.mark.parametrize(("text", "expected"), INSTANTS.items())
def test_an_instant_is_kept_in_utc(text: str, expected: datetime) -> None:
    assert fields.instant(text, "at") == expected
    assert fields.instant(datetime.fromisoformat(text), "at").tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tomorrow",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "2030-02-31T12:00:00Z",
        1893456000,
        None,
        ["x"],
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        datetime(2030, 1, 1),
    ],
)
def test_a_time_without_an_offset_or_out_of_range_is_no_instant(value: Any) -> None:
    with pytest.raises(ValidationFailed) as error:
        fields.instant(value, "expires_at")
    assert list(error.value.details["fields"]) == ["expires_at"]


def test_an_ipv6_address_loses_its_zone_and_a_plain_one_stays_itself() -> None:
    assert str(fields.unmapped(ip_address("fe80::1%eth0"))) == "fe80::1"
    assert fields.unmapped(ip_address("192.0.2.1")) == ip_address("192.0.2.1")
