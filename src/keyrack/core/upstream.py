"""An upstream as a value: a secret that is presented to others, who may be sent it, and what it may cost.

An upstream is named by its credit group, and an API says which group it uses. The secret itself is in
none of these: each version is a sealed secret of its own (keyrack.core.sealed), found by `secret_id`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from keyrack.core.model import VersionState
from keyrack.core.sealed import place

SEND_PURPOSE = "upstream"
"""The purpose of a sealed secret that upstreams are sent."""
USER_PURPOSE = "user-key"
"""The purpose of a sealed secret that replaces the group's for one user."""


class ResetFrequency(StrEnum):
    """At which boundaries, in UTC, a balance becomes its tier's credits again."""

    NEVER = "never"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


class SendPolicy(StrEnum):
    """Which version is preferred during grace."""

    PREFER_NEW = "prefer_new"
    """The new one, for the share of requests that the roll-out states; all of them without one."""
    HOLD_OLD = "hold_old"
    """The old one, until an operator states a share or grace ends."""


class Plan(StrEnum):
    """What a rotation was started for."""

    PLANNED = "planned"
    EMERGENCY = "emergency"
    GRADUAL = "gradual"


@dataclass(frozen=True, slots=True)
class Tier:
    """What a user gets in each period: credits, and units of input and output (None is no limit)."""

    name: str
    credits: int
    input_limit: int | None
    output_limit: int | None
    reset_frequency: ResetFrequency


@dataclass(frozen=True, slots=True)
class UpstreamVersion:
    """One version of an upstream's secret, without the secret."""

    number: int
    state: VersionState
    created_at: datetime
    hint: str
    """The masked form."""
    not_after: datetime | None = None
    has_unreadable_end: bool = False
    """Whether what was stored as its end is no time; it counts as passed then."""
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the newest version is being brought in. It stands until the rotation was cleaned up."""

    id: str
    """Random; with a request's id it decides which version that request prefers."""
    started_at: datetime
    plan: Plan = Plan.PLANNED
    policy: SendPolicy | None = None
    """None leaves it to whoever sends: the gateway prefers the new one, forward-auth holds the old."""
    percent: int | None = None
    """The share that prefers the new version; None while nobody stated one."""
    stepped_at: datetime | None = None
    """When the share was last changed."""
    held_at: datetime | None = None
    """When the old version was preferred again since the new one was refused from the first; once at most."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The stored record of a credit group."""

    tenant: str
    name: str
    header: str
    created_at: datetime
    tiers: tuple[Tier, ...]
    versions: tuple[UpstreamVersion, ...]
    format: str = "{key}"
    origins: tuple[str, ...] = ()
    """Where the secret may be sent, sorted; bound to each ciphertext. Empty until an API fixes it."""
    rollout: Rollout | None = None
    cleaned_up_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    revision: int = 0
    """The number of the last Event about this upstream."""
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """Tenant and group: where it is kept."""
        return upstream_id(self.tenant, self.name)

    def secret_id(self, number: int) -> str:
        """The id of the sealed secret of a version."""
        return place(SEND_PURPOSE, self.tenant, self.name, number)

    def user_secret_name(self, owner: str) -> str:
        """The name under which a user's own secret for this group is kept."""
        return hashlib.sha256(f"{self.name}/{owner}".encode()).hexdigest()[:32]

    def tier(self, name: str) -> Tier | None:
        """The tier of this name."""
        return next((tier for tier in self.tiers if tier.name == name), None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of an API: what it needs and what it costs."""

    method: str
    uri: str
    """A path template such as `/chat/{id}`."""
    scope: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Api:
    """The stored record of one version of an API that callers reach through the gateway."""

    tenant: str
    name: str
    version: str
    servers: tuple[str, ...]
    created_at: datetime
    active: bool = True
    public: bool = False
    """Whether it may be called without a key."""
    charged: bool = False
    """Whether a call costs credits of the group."""
    group: str | None = None
    request_headers: tuple[str, ...] = ()
    """In lower case, as all header names here."""
    response_headers: tuple[str, ...] = ()
    retries: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    usage_pointers: Mapping[str, str] = field(default_factory=dict)
    """JSON pointers (RFC 6901) to the units of `input` and `output` in an answer; bytes count without."""
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    revision: int = 0
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        """Tenant, name and version: where it is kept."""
        return api_id(self.tenant, self.name, self.version)


def upstream_id(tenant: str, group: str) -> str:
    """The id of a group's record."""
    return f"{tenant}/{group}"


def api_id(tenant: str, name: str, version: str) -> str:
    """The id of an API's record."""
    return f"{tenant}/{name}/{version}"
