"""What the management API gives, for the OpenAPI document and as a check on the way out."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from keyrack.server.bodies import LimitBody, Time

T = TypeVar("T")


class AddressView(BaseModel):
    """Where a secret was used from: an address, or the /64 of an IPv6 one."""

    address: str
    last_used_at: Time


class VersionView(BaseModel):
    """One secret of a key."""

    number: int
    state: Literal["live", "retired", "aborted", "destroyed"]
    created_at: Time
    not_after: Time | None
    last_used_at: Time | None
    uses: int
    addresses: list[AddressView]


class KeyView(BaseModel):
    """A key as everybody who may look sees it; its secret is never here."""

    id: str
    prefix: str
    environment: str
    tenant: str
    name: str
    owner: str | None
    scopes: list[str]
    preset: str | None
    role: str | None
    status: Literal["active", "disabled", "revoked", "expired"]
    hint: str
    expires_at: Time | None
    networks: list[str]
    limits: list[LimitBody]
    credits: str | None
    metadata: dict[str, Any]
    created_at: Time
    created_by: str
    updated_at: Time | None
    revoked_at: Time | None
    revoked_reason: str | None
    revision: int
    rotation: Literal["none", "active", "expired"]
    versions: list[VersionView]


class MintedView(BaseModel):
    """A key and, this once, its secret; null in a replayed answer."""

    key: KeyView
    secret: str | None


class SessionView(BaseModel):
    """A session and, this once, its token."""

    token: str
    token_type: Literal["Bearer"]
    expires_at: Time
    key_id: str
    version: int
    tenant: str
    scopes: list[str]
    audience: str | None


class JwkView(BaseModel):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class JwksView(BaseModel):
    """The public keys under which sessions may be signed."""

    keys: list[JwkView]


class TenantView(BaseModel):
    """A tenant."""

    id: str
    name: str
    suspended: list[str]
    starts_at: Time | None
    ends_at: Time | None
    limits: list[LimitBody]
    quota: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: Time
    updated_at: Time | None
    deleted_at: Time | None
    revision: int


class BlockView(BaseModel):
    """A network that no key of a tenant may be used from."""

    id: str
    cidr: str
    reason: str | None
    created_at: Time
    expires_at: Time | None


class EventView(BaseModel):
    """One committed change."""

    number: int
    kind: str
    at: Time
    actor: str
    tenant: str | None
    subject: str | None
    data: dict[str, Any]
    request_id: str | None
    address: str | None


class DenialView(BaseModel):
    """A refusal, or `times` unproved ones of one address and reason."""

    at: Time
    code: str
    reason: str
    times: int
    address: str | None
    key_id: str | None
    tenant: str | None
    caller: str | None
    operation: str | None
    request_id: str | None


class ReplicaView(BaseModel):
    """What a node knows of its store, and how old that is."""

    age_seconds: float | None
    max_stale_seconds: float
    keys: int
    keys_held: int
    event: int


class ReadinessView(BaseModel):
    """Whether a node can decide, and what is wrong if not."""

    ready: bool
    reason: str | None
    trouble: str | None
    limits_counted: Literal["process", "machine", "everywhere"]
    """Who counts limits together."""
    replica: ReplicaView


class Page(BaseModel, Generic[T]):
    """A page of a list, and the cursor of the next one."""

    data: list[T]
    next_cursor: str | None


class Problem(BaseModel):
    """What went wrong (RFC 9457), with a stable code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    details: dict[str, Any]
    request_id: str
