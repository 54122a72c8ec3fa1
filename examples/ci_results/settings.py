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

from keyrack import ConfigurationError

REPOSITORY = re.compile(r"(?!\.{1,2}/)[A-Za-z0-9_.-]+/(?!\.{1,2}\Z)[A-Za-z0-9_.-]+")
MAX_REPOSITORY = 100
DEFAULTS: Mapping[str, str] = {
    "CI_DATABASE_URL": "sqlite:///ci_results.db",
    "KEYRACK_STORE": "sqlite:///ci_keys.db",
    "KEYRACK_PEPPERS": "",
    "CI_STORAGE_URL": "file:ci-data",
    "CI_STORAGE_MIRROR_URL": "",
    "CI_DOWNLOAD_MINUTES": "60",
    "CI_MAIN_REPOSITORY": "",
    "CI_REPOSITORY_DIRECTORY": "file:repositories.json",
    "CI_REQUIRE_BUILD": "on",
    "CI_FORGE_URL": "https://github.com",
    "CI_RUN_LEASE_HOURS": "24",
    "CI_RATE_LIMIT": "on",
    "CI_HSTS": "auto",
    "CI_TRUSTED_PROXIES": "",
}
"""All that is read, and what holds where nothing is set; no other variable has a meaning here."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. No repr shows a secret."""

    database_url: str = field(repr=False)
    key_store: str = field(repr=False)
    peppers: str = field(repr=False)
    storage_url: str
    mirror_url: str | None
    download_minutes: float
    main_repository: str
    repository_directory: str
    require_build: bool
    forge_url: str
    run_lease_hours: float
    rate_limit: bool
    hsts: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment. Raises ConfigurationError."""
        given = {name: environment.get(name) or default for name, default in DEFAULTS.items()}
        if not given["KEYRACK_PEPPERS"]:
            raise ConfigurationError("KEYRACK_PEPPERS", "is missing; it holds `id:text`.")
        return cls(
            database_url=given["CI_DATABASE_URL"],
            key_store=given["KEYRACK_STORE"],
            peppers=given["KEYRACK_PEPPERS"],
            storage_url=given["CI_STORAGE_URL"],
            mirror_url=given["CI_STORAGE_MIRROR_URL"] or None,
            download_minutes=_number(given, "CI_DOWNLOAD_MINUTES", most=7 * 24 * 60),
            main_repository=_repository(given, "CI_MAIN_REPOSITORY"),
            repository_directory=_directory(given, "CI_REPOSITORY_DIRECTORY"),
            require_build=_switch(given, "CI_REQUIRE_BUILD"),
            forge_url=_web(given, "CI_FORGE_URL"),
            run_lease_hours=_number(given, "CI_RUN_LEASE_HOURS", most=24 * 365),
            rate_limit=_switch(given, "CI_RATE_LIMIT"),
            hsts=_among(given, "CI_HSTS", ("auto", "off")) == "auto",
            trusted_proxies=_parsed(given, "CI_TRUSTED_PROXIES", _networks, "must list networks"),
        )


def is_repository(text: str) -> bool:
    """Whether a text is `owner/repository`, neither of them a way up."""
    return len(text) <= MAX_REPOSITORY and REPOSITORY.fullmatch(text) is not None


def _repository(given: Mapping[str, str], name: str) -> str:
    if not given[name]:
        raise ConfigurationError(name, "is missing; it names the main repository as `owner/repository`.")
    if not is_repository(given[name]):
        raise ConfigurationError(name, "must be `owner/repository`.")
    return given[name]


def _directory(given: Mapping[str, str], name: str) -> str:
    if re.fullmatch(r"(file:|https?://).+", given[name]) is None:
        raise ConfigurationError(name, "must be file:path or the https:// address of a forge's API.")
    return given[name].rstrip("/")


def _web(given: Mapping[str, str], name: str) -> str:
    if re.fullmatch(r"https?://.+", given[name]) is None:
        raise ConfigurationError(name, "must be an https:// address.")
    return given[name].rstrip("/")


def _parsed(given: Mapping[str, str], name: str, parse: Callable[[str], T], rule: str) -> T:
    try:
        return parse(given[name])
    except ValueError:
        raise ConfigurationError(name, f"{rule}.") from None


def _switch(given: Mapping[str, str], name: str) -> bool:
    return _among(given, name, ("on", "off")) == "on"


def _among(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    if given[name] not in known:
        raise ConfigurationError(name, f"must be {' or '.join(f'`{one}`' for one in known)}.")
    return given[name]


def _number(given: Mapping[str, str], name: str, *, most: float) -> float:
    rule = f"must be a number above 0, and at most {most:g}"
    number = _parsed(given, name, float, rule)
    if not (math.isfinite(number) and 0 < number <= most):
        raise ConfigurationError(name, f"{rule}.")
    return number


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
