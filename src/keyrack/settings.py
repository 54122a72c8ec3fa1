"""What a process is told from outside: one object, each setting also an environment variable.

A setting and its variable share a name (`max_stale`, `KEYRACK_MAX_STALE`). Whatever is wrong is a
ConfigurationError that names the setting and never its value.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, Self

from keyrack.core import fields
from keyrack.core.errors import ConfigurationError, ValidationFailed
from keyrack.core.master_keys import MasterKeys
from keyrack.core.model import Network
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.core.webhooks import Webhooks
from keyrack.stores.follower import DEFAULT_MAX_STALE
from keyrack.stores.urls import DEFAULT_URL
from keyrack.verifier import DEFAULT_POLL

PREFIX = "KEYRACK_"
DEFAULT_UPSTREAM_TIMEOUT: float = 60
MAX_WORKERS = 256
MAX_REPLICA_KEYS = 1_000_000_000
_SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


class Listener(NamedTuple):
    """Where connections are accepted."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a command or a server is configured with; read once, then handed on."""

    # A URL may hold a password, so no repr shows one.
    store: str = field(default=DEFAULT_URL, repr=False)
    counters: str | None = field(default=None, repr=False)
    """None leaves the choice to the store."""
    counters_down: str = "closed"
    """`open` lets requests pass while limits cannot be counted."""
    credits: str | None = field(default=None, repr=False)
    """None leaves the choice to the store."""
    peppers: str | None = field(default=None, repr=False)
    master_keys: str | None = field(default=None, repr=False)
    """For what must be reversible."""
    max_stale: float | None = None
    """Seconds; None means the store's own."""
    poll: float = DEFAULT_POLL
    replica_max_keys: int | None = None
    """How many keys are held in memory at most; None means all."""
    trusted_proxies: tuple[Network, ...] = ()
    upstream_networks: tuple[Network, ...] = ()
    """Those that upstreams and webhooks of any tenant may be in, though they are not public."""
    upstream_timeout: float = DEFAULT_UPSTREAM_TIMEOUT
    """Seconds for which an upstream may say nothing."""
    policy: Policy = field(default_factory=Policy)
    """What the file that KEYRACK_POLICY names says."""
    webhooks: Webhooks = field(default_factory=Webhooks, repr=False)
    """Those of the file that KEYRACK_WEBHOOKS names."""
    key: str | None = field(default=None, repr=False)
    traefik_key: str | None = field(default=None, repr=False)
    """The key that Traefik is known by, which can show none itself."""
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    internal: Listener | None = None
    dev: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **given: object) -> Self:
        """The settings of an environment; what is given and not None comes before it.

        Raises ConfigurationError. An empty variable counts as unset.
        """
        texts = {**_texts(os.environ if environ is None else environ), **_given(given)}
        settings = cls(**{name: _read(name, text) for name, text in texts.items()})
        _require_consistent(settings)
        return settings


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _texts(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[variable(name)] for name in _READERS if environ.get(variable(name))}


def _given(given: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in given.items() if value is not None}


def _read(name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except ValueError as error:
        raise ConfigurationError(variable(name), str(error)) from None


def _word(text: str) -> str:
    if not text.isprintable() or " " in text:
        raise ValueError("contains a blank or a control character.")
    return text


def _down(text: str) -> str:
    if text not in ("closed", "open"):
        raise ValueError("must be closed or open.")
    return text


def _credits(text: str) -> str:
    if not text.startswith(("redis://", "rediss://")):
        raise ValueError("is none of redis://host and rediss://host.")
    return _word(text)


def _peppers(text: str) -> str:
    Peppers.parse(text)
    return text


def _master_keys(text: str) -> str:
    MasterKeys.parse(text)
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError("must be a number of seconds above 0.")
    return seconds


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return fields.networks([one.strip() for one in text.split(",") if one.strip()])
    except ValidationFailed:
        raise ValueError("must be networks in CIDR form, joined by commas.") from None


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"names a file that cannot be read: {type(error).__name__}.") from None


def _whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}.")
    return int(text)


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _internal(text: str) -> Listener:
    host, separator, port = text.rpartition(":")
    if not separator or not host:
        raise ValueError("must be host:port.")
    return Listener(host.removeprefix("[").removesuffix("]"), _port(port))


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError("must be on or off.")
    return _SWITCH[text.lower()]


_READERS: Mapping[str, Callable[[str], Any]] = {
    "store": _word,
    "counters": _word,
    "counters_down": _down,
    "credits": _credits,
    "peppers": _peppers,
    "master_keys": _master_keys,
    "max_stale": _seconds,
    "poll": _seconds,
    "replica_max_keys": lambda text: _whole(text, 1, MAX_REPLICA_KEYS),
    "trusted_proxies": _networks,
    "upstream_networks": _networks,
    "upstream_timeout": _seconds,
    "policy": lambda text: Policy.read(_content(text)),
    "webhooks": lambda text: Webhooks.read(_content(text)),
    "key": _word,
    "traefik_key": _word,
    "host": _word,
    "port": _port,
    "workers": lambda text: _whole(text, 1, MAX_WORKERS),
    "internal": _internal,
    "dev": _switch,
}


def _require_consistent(settings: Settings) -> None:
    if settings.poll >= (settings.max_stale or DEFAULT_MAX_STALE):
        raise ConfigurationError(variable("poll"), "must be shorter than max_stale.")
    if settings.dev and not _is_loopback(settings.host):
        raise ConfigurationError(variable("host"), "must be a loopback address with --dev.")
    if settings.dev and settings.internal is not None and not _is_loopback(settings.internal.host):
        raise ConfigurationError(variable("internal"), "must be on a loopback address with --dev.")
    # Requests are told apart by the port they came to, and two hosts can have the same one.
    if settings.internal is not None and settings.internal.port == settings.port != 0:
        raise ConfigurationError(variable("internal"), "must have another port than the main listener.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
