"""Rates as headers, as draft-ietf-httpapi-ratelimit-headers-10 writes them."""

from __future__ import annotations

import pytest

from keyrack.core.model import Rate
from keyrack.core.ratelimit_headers import ratelimit_headers

NOW = 1_700_000_000.25


def rate(name: str = "default", *, limit: int = 100, left: int = 50, resets_in: float = 30) -> Rate:
    return Rate(name, limit, 60, left, NOW + resets_in)


def test_one_limit_is_shown_in_every_form() -> None:
    assert ratelimit_headers([rate()], NOW) == [
        ("ratelimit-policy", '"default";q=100;w=60'),
        ("ratelimit", '"default";r=50;t=30'),
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "50"),
        ("x-ratelimit-reset", "1700000031"),
    ]


def test_without_a_limit_there_are_no_headers() -> None:
    assert ratelimit_headers([], NOW) == []


@pytest.mark.spec("CI-94", "CO-39")
def test_all_limits_are_listed_and_the_one_with_the_fewest_left_is_shown() -> None:
    rates = [rate("minute", left=7), rate("hour", limit=9, left=3, resets_in=90), rate("day", left=8)]
    headers = dict(ratelimit_headers(rates, NOW))
    assert headers["ratelimit-policy"] == '"minute";q=100;w=60, "hour";q=9;w=60, "day";q=100;w=60'
    assert headers["ratelimit"] == '"minute";r=7;t=30, "hour";r=3;t=90, "day";r=8;t=30'
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("9", "3")
    assert headers["x-ratelimit-reset"] == "1700000091"


def test_among_equals_the_limit_that_gives_more_last_is_shown() -> None:
    rates = [rate("soon", left=0, resets_in=1), rate("late", left=0, resets_in=50)]
    assert dict(ratelimit_headers(rates, NOW))["x-ratelimit-reset"] == "1700000051"


@pytest.mark.parametrize(("resets_in", "shown"), [(0.01, 1), (0, 0), (-5, 0), (1, 1), (1.5, 2)])
def test_seconds_round_up_and_are_never_negative(resets_in: float, shown: int) -> None:
    assert dict(ratelimit_headers([rate(resets_in=resets_in)], NOW))["ratelimit"].endswith(f";t={shown}")


def test_the_blur_of_a_float_is_no_further_second() -> None:
    now = 1_700_000_000.123_456_7
    left = dict(ratelimit_headers([Rate("l", 9, 60, 8, round(now, 6) + 60)], now))["ratelimit"]
    assert left == '"l";r=8;t=60'


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\r\nset-cookie: x", "ä", "a\x7f", "a\x00"])
def test_a_name_cannot_end_its_header(name: str) -> None:
    policy = dict(ratelimit_headers([rate(name)], NOW))["ratelimit-policy"]
    quoted = policy.removesuffix(";q=100;w=60")
    assert quoted[0] == quoted[-1] == '"'
    assert quoted.isascii()
    assert quoted.isprintable()
    assert not set(quoted[1:-1]) & set('"\\')
