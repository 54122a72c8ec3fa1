"""What a Client returns: frozen values with the names of the API. None shows a secret in its repr.

Tenants, events and refusals are the engine's own values; a key is not, since nobody outside of the
store sees its digests, and everybody who may look sees how it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from keyrack.core.model import Limit, Network, Rate, Reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AddressView:
    """Where a secret was used from: an address, or the /64 of an IPv6 one."""

    address: str
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class VersionView:
    """One secret of a key: its life and its use."""

    number: int
    state: str
    created_at: datetime
    not_after: datetime | None
    last_used_at: datetime | None
    uses: int
    addresses: tuple[AddressView, ...] = ()
    """The last 20 within 30 days, the newest first."""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as everybody who may look sees it."""

    id: str
    prefix: str
    environment: str
    tenant: str
    name: str
    owner: str | None
    scopes: tuple[str, ...]
    preset: str | None
    role: str | None
    status: str
    """`active`, `disabled`, `revoked` or `expired`, when it was asked for."""
    hint: str
    expires_at: datetime | None
    networks: tuple[Network, ...]
    limits: tuple[Limit, ...]
    credits: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    created_by: str
    updated_at: datetime | None
    revoked_at: datetime | None
    revoked_reason: str | None
    revision: int
    """For `if_match`."""
    rotation: str
    """`none`, `active` or `expired`."""
    versions: tuple[VersionView, ...]


class NewKey(NamedTuple):
    """A key and, this once, the text of its new secret."""

    key: KeyView
    secret: str | None
    """None where an earlier attempt of the same call had come through and its answer was lost; rotate
    the key for another."""

    def __repr__(self) -> str:
        return f"<NewKey {self.key.hint}>"


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session and, this once, its token."""

    token: str = field(repr=False)
    expires_at: datetime
    key_id: str
    version: int
    tenant: str
    scopes: tuple[str, ...]
    audience: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server decided on a key. A refusal is an answer, too: `valid` is False then."""

    valid: bool
    code: str
    reason: Reason | None = None
    key_id: str | None = None
    version: int | None = None
    name: str | None = None
    tenant: str | None = None
    owner: str | None = None
    environment: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    limits: tuple[Rate, ...] = ()
    retry_after: int | None = None
    """Seconds, with `rate_limited`."""
    details: Mapping[str, Any] = field(default_factory=dict)
    explanation: str | None = None


class Page(NamedTuple, Generic[T]):
    """A part of a list, and the cursor of the next one; None on the last."""

    data: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the server can decide, and how old what it knows is."""

    ready: bool
    reason: str | None
    trouble: str | None
    limits_counted: str
    """Who counts limits together: a `process`, a `machine`, or all nodes `everywhere`."""
    age_seconds: float | None
    max_stale_seconds: float
    keys: int
    event: int
