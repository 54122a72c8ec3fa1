"""Rates as response headers: draft-ietf-httpapi-ratelimit-headers-10, and the older `X-` ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil

from keyrack.core.model import Rate

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
"""What an RFC 9651 string cannot hold, or only escaped. A limit's name has none of it."""


def ratelimit_headers(rates: Sequence[Rate], now: float) -> list[tuple[str, str]]:
    """The headers of a limited answer, none without rates. `now` is in Unix seconds.

    `ratelimit-policy` and `ratelimit` list every limit: quota `q` and window `w`; units left `r` and the
    seconds `t` until more are available. The `x-ratelimit-` headers show the limit with the fewest units
    left and, among equals, the one that gives more last; reset is in Unix seconds. Times round up.
    """
    if not rates:
        return []
    fewest = min(rates, key=lambda rate: (rate.remaining, -rate.reset_at))
    return [
        ("ratelimit-policy", ", ".join(map(_policy, rates))),
        ("ratelimit", ", ".join([_left(rate, now) for rate in rates])),
        ("x-ratelimit-limit", str(fewest.limit)),
        ("x-ratelimit-remaining", str(fewest.remaining)),
        ("x-ratelimit-reset", str(ceil(fewest.reset_at))),
    ]


def _policy(rate: Rate) -> str:
    return f"{_quoted(rate.name)};q={rate.limit};w={rate.window_seconds}"


def _left(rate: Rate, now: float) -> str:
    # reset_at is exact to the microsecond; what a float has beyond it would round up to a second.
    seconds = ceil(round(rate.reset_at - now, 6))
    return f"{_quoted(rate.name)};r={rate.remaining};t={max(seconds, 0)}"


def _quoted(name: str) -> str:
    # Names are checked where limits are made; here it is only kept from ending the header.
    return f'"{_NOT_PLAIN.sub("_", name)}"'
