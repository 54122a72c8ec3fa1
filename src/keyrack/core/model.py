"""The words of the system as values: frozen, comparable, and none of them holds a secret.

Times are aware UTC datetimes; durations say their unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_TENANT = "default"
SERVICES = ("ingest", "query", "workspace")


class Reason(StrEnum):
    """Why a credential was refused, exactly: for logs, metrics and verify's `reason`. A closed list."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    DISABLED = "disabled"
    EXPIRED = "expired"
    RETIRED = "retired"
    AMBIGUOUS = "ambiguous"
    TENANT = "tenant"
    SUSPENDED = "suspended"
    NETWORK = "network"
    SCOPE = "scope"
    CREDITS = "credits"
    RATE = "rate"
    UNCONFIGURED = "unconfigured"
    STORE_DOWN = "store_down"
    STALE = "stale"


class Status(StrEnum):
    """The state that an administrator gave a key. Revoked is final."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


class VersionState(StrEnum):
    """The stored state of one secret version; a live one whose time is over counts as retired."""

    LIVE = "live"
    RETIRED = "retired"
    ABORTED = "aborted"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` units in any `window_seconds`, counted under `name`."""

    name: str
    limit: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What a limit looks like after a request: units left, and when the oldest one leaves."""

    name: str
    limit: int
    window_seconds: int
    remaining: int
    reset_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of a key's secret: its digest and its life, never its text."""

    number: int
    state: VersionState
    created_at: datetime
    pepper: str
    digest: bytes = field(repr=False)
    not_after: datetime | None = None
    foreign: bool = False
    """True for a text that we did not write; such a version is found by its digest."""
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Members of a later format, kept as they are."""


@dataclass(frozen=True, slots=True)
class Key:
    """The stored record of a key."""

    id: str
    prefix: str
    environment: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    versions: tuple[Secret, ...]
    ending: str
    """The last 4 characters of the newest text, for the hint."""
    owner: str | None = None
    preset: str | None = None
    role: str | None = None
    status: Status = Status.ACTIVE
    expires_at: datetime | None = None
    networks: tuple[Network, ...] = ()
    limits: tuple[Limit, ...] = ()
    credits: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    updated_at: datetime | None = None
    revision: int = 0
    """The number of the last Event about this key."""
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Members of a later format, kept as they are."""

    @property
    def hint(self) -> str:
        """The one masked form: prefix, first 4 of the id, `…`, last 4 of the newest text."""
        return f"{self.prefix}_{self.environment}_{self.id[:4]}…{self.ending}"


@dataclass(frozen=True, slots=True)
class Block:
    """A network that no key of a tenant may be used from, until the block expires or is lifted."""

    id: str
    network: Network
    created_at: datetime
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who owns keys. Suspended services, and the dates outside of which all of them count as such."""

    id: str
    name: str
    created_at: datetime
    suspended: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    deleted_at: datetime | None = None
    limits: tuple[Limit, ...] = ()
    quota: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    updated_at: datetime | None = None
    revision: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks for. Without scopes an answer proves identity only."""

    scopes: tuple[str, ...] = ()
    tenant: str | None = None
    """A tenant that the request names; it must be the key's own."""
    environments: tuple[str, ...] = ("live",)
    prefixes: tuple[str, ...] = ()
    """Accepted prefixes; none given means those of the store's policy."""
    service: str | None = None
    cost: int = 1
    """Units that each limit is charged, 0 to 1000."""
    limits: tuple[Limit, ...] = ()
    """What each key is limited to here, beside its own limits."""
    address: Address | None = None
    credits: bool = True
    """Whether a key that names a credit group pays there; the gateway charges the API's group instead."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a session token stands for: a version of a key, less of what that may do, and until when."""

    key_id: str
    version: int
    tenant: str
    scopes: tuple[str, ...]
    ends_at: int
    """Unix seconds."""
    audience: str | None = None
    """The one service that it is meant for; None for any."""


class Allowed(NamedTuple):
    """The credential may pass. `scopes` are what it may do: the key's, met with every ceiling."""

    key: Key
    secret: Secret
    scopes: tuple[str, ...]
    rates: tuple[Rate, ...] = ()
    session: Session | None = None
    """Set where a session token was presented instead of the key; it changes nothing."""


class Denied(NamedTuple):
    """The credential may not pass. `key` is set only once its secret was proved."""

    reason: Reason
    key: Key | None = None
    secret: Secret | None = None
    details: Mapping[str, Any] = {}
    rates: tuple[Rate, ...] = ()
    retry_after: int | None = None
    """Whole seconds, with `rate`."""


Decision = Allowed | Denied
