"""Everything that the environment decides, read once before anything is opened.

A variable that is empty counts as not set. Every error names the variable and the rule, never the
value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeVar

from examples.coordinator import callers
from examples.coordinator.signature import SECRET_PREFIX, parse_secret
from keyrack import ConfigurationError, Limit, weakness

STATIC_STORE = "env:"
DEFAULT_DATABASE = "sqlite:///coordinator.db"
WEBHOOK_SECRET = "STITCHER_WEBHOOK_SECRET"
VARIABLES = (
    "KEYRACK_STORE",
    "KEYRACK_PEPPERS",
    "KEYRACK_COUNTERS",
    "KEYRACK_MAX_STALE",
    "KEYRACK_POLL",
    *(name for variable, _ in callers.CALLERS.values() for name in (variable, f"{variable}_PREVIOUS")),
    "STITCHER_WEBHOOK",
    WEBHOOK_SECRET,
    f"{WEBHOOK_SECRET}_PREVIOUS",
    "COORDINATOR_DATABASE_URL",
    "COORDINATOR_TRUSTED_PROXIES",
    "COORDINATOR_RATE_LIMIT",
    "COORDINATOR_FAILURE_LIMIT",
)
"""All that is read; no other variable has a meaning here."""
NETWORKS = "must list networks in CIDR form, with commas between"
SECONDS = "must be a number of seconds above 0"
_LIMIT = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,7})")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. No repr shows a secret."""

    store: str
    peppers: str = field(repr=False)
    database_url: str
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    webhook_secrets: tuple[bytes, ...] = field(repr=False)
    """The current one and the previous one; none when webhooks are switched off."""
    rate_limit: Limit
    failure_limit: Limit
    counters: str
    max_stale: float
    poll: float

    @property
    def static(self) -> bool:
        """Whether keys come from the environment alone."""
        return self.store.startswith(STATIC_STORE)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment. Raises ConfigurationError."""
        variables = {name: environment[name] for name in VARIABLES if environment.get(name)}
        webhook = _parsed(variables, "STITCHER_WEBHOOK", "on", _switch, "must be `on` or `off`")
        database_url = variables.get("COORDINATOR_DATABASE_URL", DEFAULT_DATABASE)
        return cls(
            store=variables.get("KEYRACK_STORE", STATIC_STORE),
            peppers=variables.get("KEYRACK_PEPPERS", ""),
            database_url=database_url,
            trusted_proxies=_parsed(
                variables,
                "COORDINATOR_TRUSTED_PROXIES",
                "",
                _networks,
                NETWORKS,
            ),
            webhook_secrets=_webhook_secrets(variables) if webhook else (),
            rate_limit=_limit(variables, "COORDINATOR_RATE_LIMIT", "requests", "600/60"),
            failure_limit=_limit(variables, "COORDINATOR_FAILURE_LIMIT", "failures", "30/60"),
            counters=variables.get("KEYRACK_COUNTERS", database_url.removesuffix(".db") + "-counters.db"),
            max_stale=_parsed(variables, "KEYRACK_MAX_STALE", "30", _seconds, SECONDS),
            poll=_parsed(variables, "KEYRACK_POLL", "0.5", _seconds, SECONDS),
        )


def _webhook_secrets(variables: Mapping[str, str]) -> tuple[bytes, ...]:
    if WEBHOOK_SECRET not in variables:
        raise ConfigurationError(WEBHOOK_SECRET, "is required unless STITCHER_WEBHOOK=off.")
    names = (WEBHOOK_SECRET, f"{WEBHOOK_SECRET}_PREVIOUS")
    return tuple(_webhook_secret(name, variables[name]) for name in names if name in variables)


def _webhook_secret(name: str, text: str) -> bytes:
    reason = weakness(text.removeprefix(SECRET_PREFIX))
    if reason is not None:
        raise ConfigurationError(name, f"is too weak: it {reason}.")
    key = parse_secret(text)
    if key is None:
        raise ConfigurationError(name, f"must read `{SECRET_PREFIX}` + base64 of at least 32 bytes.")
    return key


def _parsed(variables: Mapping[str, str], name: str, default: str, parse: Callable[[str], T], rule: str) -> T:
    try:
        return parse(variables.get(name, default))
    except ValueError:
        raise ConfigurationError(name, f"{rule}.") from None


def _limit(variables: Mapping[str, str], name: str, limit: str, default: str) -> Limit:
    def parse(text: str) -> Limit:
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise ValueError
        return Limit(limit, int(match[1]), int(match[2]))

    return _parsed(variables, name, default, parse, "must read `requests/seconds`, two positive integers")


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError
    return text == "on"


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds
