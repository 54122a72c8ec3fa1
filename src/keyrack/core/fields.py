"""The rules of each field of a record, for everybody who writes one: JSON values in, values out.

Each function raises ValidationFailed naming the field; none changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from keyrack.core import scopes as algebra
from keyrack.core.errors import ValidationFailed
from keyrack.core.model import Address, Limit, Network

MAX_NAME = 100
MAX_NETWORKS = 100
MAX_LIMITS = 10
MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 32
MAX_REASON = 500
MAX_LIMIT = 1_000_000_000
MAX_WINDOW_SECONDS = 366 * 24 * 3600


def refuse(field: str, message: str) -> ValidationFailed:
    """The error for one message on one field."""
    return ValidationFailed({field: [message]})


def name(value: object, field: str = "name") -> str:
    """1 to 100 printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise refuse(field, f"Give 1 to {MAX_NAME} printable characters.")
    return value


def reason(value: object, field: str = "reason") -> str:
    """1 to 500 printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_REASON or not value.isprintable():
        raise refuse(field, f"Give 1 to {MAX_REASON} printable characters.")
    return value


def scopes(value: object, field: str = "scopes") -> tuple[str, ...]:
    """At most 100 scopes in the grammar, no repetition kept."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise refuse(field, "Give a list of scopes such as `logs:read`.")
    unique = tuple(dict.fromkeys(value))
    if len(unique) > algebra.MAX_SCOPES:
        raise refuse(field, f"Give at most {algebra.MAX_SCOPES} scopes.")
    bad = [index for index, one in enumerate(value) if not algebra.is_scope(one)]
    if bad:
        raise refuse(field, f"Not a scope (resource:action) at position {bad[0]}.")
    return unique


def networks(value: object, field: str = "networks") -> tuple[Network, ...]:
    """At most 100 networks in CIDR form; an IPv4-mapped one is kept as the IPv4 network it is."""
    if not isinstance(value, list | tuple) or len(value) > MAX_NETWORKS:
        raise refuse(field, f"Give a list of at most {MAX_NETWORKS} networks such as `10.0.0.0/8`.")
    return tuple(dict.fromkeys(network(one, f"{field}.{index}") for index, one in enumerate(value)))


def network(value: object, field: str = "network") -> Network:
    """One network in CIDR form; host bits must be zero."""
    try:
        # A zone (`fe80::%eth0/64`) is a name of one machine, and any text at all.
        parsed = ip_network(value) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise refuse(field, "Not a network in CIDR form, such as `10.0.0.0/8` or `2001:db8::/32`.")
    return _unmapped_network(parsed)


def address(value: object, field: str = "ip") -> Address:
    """One IPv4 or IPv6 address; an IPv4-mapped one is read as the IPv4 address it is."""
    try:
        parsed = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise refuse(field, "Not an IPv4 or IPv6 address.")
    return unmapped(parsed)


def unmapped(value: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped IPv6 one; any other address is itself, without its zone."""
    if value.version == 4:
        return value
    return value.ipv4_mapped or type(value)(int(value))


def limits(value: object, field: str = "limits") -> tuple[Limit, ...]:
    """At most 10 limits `{name, limit, window_seconds}` of different names."""
    if not isinstance(value, list | tuple) or len(value) > MAX_LIMITS:
        raise refuse(field, f"Give a list of at most {MAX_LIMITS} limits.")
    read = tuple(_limit(one, f"{field}.{index}") for index, one in enumerate(value))
    if len({one.name for one in read}) != len(read):
        raise refuse(field, "Each limit of a key has a name of its own.")
    return read


def metadata(value: object, field: str = "metadata") -> Mapping[str, Any]:
    """A JSON object of at most 4 KB and 32 levels as it is written, and as it will be read back."""
    if not isinstance(value, Mapping):
        raise refuse(field, "Give a JSON object.")
    try:
        text = json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise refuse(field, "Give plain JSON values in well-formed Unicode.") from None
    if size > MAX_METADATA_BYTES:
        raise refuse(field, f"Give at most {MAX_METADATA_BYTES} bytes of JSON.")
    # What is written here is read deeper in somebody's stack; nesting must not decide whether it can be.
    if not _is_shallow(dict(value), MAX_METADATA_DEPTH):
        raise refuse(field, f"Give at most {MAX_METADATA_DEPTH} levels of JSON.")
    return dict(json.loads(text))


def instant(value: object, field: str) -> datetime:
    """An aware time, as a datetime or in RFC 3339 with an offset; kept in UTC."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    if not isinstance(read, datetime) or read.tzinfo is None:
        raise refuse(field, "Give a date and time with an offset, such as `2030-01-31T12:00:00Z`.")
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise refuse(field, "This time is out of range.") from None


def _limit(value: object, field: str) -> Limit:
    if isinstance(value, Limit):
        value = {"name": value.name, "limit": value.limit, "window_seconds": value.window_seconds}
    if not isinstance(value, Mapping) or set(value) != {"name", "limit", "window_seconds"}:
        raise refuse(field, "Give exactly name, limit and window_seconds.")
    return Limit(
        limit_name(value["name"], f"{field}.name"),
        _count(value["limit"], f"{field}.limit", MAX_LIMIT),
        _count(value["window_seconds"], f"{field}.window_seconds", MAX_WINDOW_SECONDS),
    )


def limit_name(value: object, field: str) -> str:
    """1 to 50 of letters, digits, `_`, `-` and `.`: a limit's name stands in a header."""
    plain = isinstance(value, str) and value.isascii() and 1 <= len(value) <= 50
    if not plain or not all(character.isalnum() or character in "_-." for character in str(value)):
        raise refuse(field, "Give 1 to 50 of letters, digits, `_`, `-` and `.`.")
    return str(value)


def _count(value: object, field: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise refuse(field, f"Give a whole number from 1 to {most}.")
    return value


def _is_shallow(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _unmapped_network(value: Network) -> Network:
    mapped = value.network_address.ipv4_mapped if isinstance(value, IPv6Network) else None
    if mapped is None or value.prefixlen < 96:
        return value
    return IPv4Network((mapped, value.prefixlen - 96))
