"""Everything that the environment decides, read once before anything is opened.

A variable that is empty counts as not set. Every error names the variable and the rule, never the
value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar

from keyrack import ConfigurationError

MAX_STALE_SECONDS = 15.0
"""No node of the lake acts on older key or tenant data."""
MIB = 1024 * 1024
DEFAULTS: Mapping[str, str] = {
    "LAKE_STORAGE_URL": "file:lake-data",
    "KEYRACK_STORE": "",
    "KEYRACK_PEPPERS": "",
    "LAKE_MULTI_TENANT": "off",
    "LAKE_POLL_SECONDS": "0.5",
    "LAKE_MAX_BODY": str(10 * MIB),
    "LAKE_FLATTEN_DEPTH": "10",
    "LAKE_QUERY_SECONDS": "30",
    "LAKE_QUERY_MEMORY": str(256 * MIB),
    "LAKE_QUERY_ROWS": "100000",
    "LAKE_BASIC_AUTH": "off",
    "LAKE_TRUSTED_PROXIES": "",
    "LAKE_NODES": "1",
    "LAKE_LIMITER_URL": "sqlite:///lake-limiter.db",
}
"""All that is read, and what holds where nothing is set; no other variable has a meaning here."""
_LOCAL_LIMITERS = ("memory:", "sqlite:")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. No repr shows a secret."""

    storage_url: str
    key_store: str = field(repr=False)
    peppers: str = field(repr=False)
    multi_tenant: bool
    poll_seconds: float
    max_body: int
    """Bytes, after decompression."""
    flatten_depth: int
    query_seconds: float
    query_memory: int
    """Bytes."""
    query_rows: int
    basic_auth: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    nodes: int
    limiter_url: str = field(repr=False)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment. Raises ConfigurationError."""
        given = {name: environment.get(name) or default for name, default in DEFAULTS.items()}
        if not given["KEYRACK_PEPPERS"]:
            raise ConfigurationError("KEYRACK_PEPPERS", "is missing; it holds `id:text`.")
        settings = cls(
            storage_url=given["LAKE_STORAGE_URL"],
            key_store=given["KEYRACK_STORE"] or key_store_in(given["LAKE_STORAGE_URL"]),
            peppers=given["KEYRACK_PEPPERS"],
            multi_tenant=_switch(given, "LAKE_MULTI_TENANT"),
            poll_seconds=_seconds(given, "LAKE_POLL_SECONDS", most=MAX_STALE_SECONDS / 3),
            max_body=_count(given, "LAKE_MAX_BODY", least=100, most=100_000_000),
            flatten_depth=_count(given, "LAKE_FLATTEN_DEPTH", least=1, most=100),
            query_seconds=_seconds(given, "LAKE_QUERY_SECONDS", most=300),
            query_memory=_count(given, "LAKE_QUERY_MEMORY", least=MIB, most=1024 * 1024 * MIB),
            query_rows=_count(given, "LAKE_QUERY_ROWS", least=1, most=100_000_000),
            basic_auth=_switch(given, "LAKE_BASIC_AUTH"),
            trusted_proxies=_parsed(given, "LAKE_TRUSTED_PROXIES", _networks, "must list networks"),
            nodes=_count(given, "LAKE_NODES", least=1, most=100_000),
            limiter_url=given["LAKE_LIMITER_URL"],
        )
        _require_shared_limiter(settings)
        return settings


def key_store_in(storage_url: str) -> str:
    """The same storage, as Keyrack names it."""
    scheme, _, path = storage_url.partition(":")
    return f"file://{Path(path).absolute()}" if scheme == "file" else storage_url


def _require_shared_limiter(settings: Settings) -> None:
    """Every node with counters of its own would let through as much as all may together."""
    if settings.nodes > 1 and settings.limiter_url.lower().startswith(_LOCAL_LIMITERS):
        raise ConfigurationError(
            "LAKE_LIMITER_URL", "must be one that all nodes share, since LAKE_NODES is above 1."
        )


def _parsed(given: Mapping[str, str], name: str, parse: Callable[[str], T], rule: str) -> T:
    try:
        return parse(given[name])
    except ValueError:
        raise ConfigurationError(name, f"{rule}.") from None


def _switch(given: Mapping[str, str], name: str) -> bool:
    if given[name] not in ("on", "off"):
        raise ConfigurationError(name, "must be `on` or `off`.")
    return given[name] == "on"


def _count(given: Mapping[str, str], name: str, *, least: int, most: int) -> int:
    rule = f"must be a whole number from {least} to {most}"
    count = _parsed(given, name, int, rule)
    if not least <= count <= most:
        raise ConfigurationError(name, f"{rule}.")
    return count


def _seconds(given: Mapping[str, str], name: str, *, most: float) -> float:
    rule = f"must be a number of seconds above 0, and at most {most:g}"
    seconds = _parsed(given, name, float, rule)
    if not (math.isfinite(seconds) and 0 < seconds <= most):
        raise ConfigurationError(name, f"{rule}.")
    return seconds


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
