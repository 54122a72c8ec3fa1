"""What the management API takes and gives, for validation and for the OpenAPI document.

The rules of each field stand in keyrack.core.fields; here are only shapes.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

T = TypeVar("T")
Time = Annotated[StrictStr, Field(json_schema_extra={"format": "date-time"}, max_length=64)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=100)]
Scope = Annotated[StrictStr, Field(min_length=3, max_length=200, examples=["logs:read"])]
Network = Annotated[StrictStr, Field(max_length=64, examples=["10.0.0.0/8"])]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class LimitBody(Body):
    """At most `limit` units in any window of so many seconds."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=50)]
    limit: Annotated[StrictInt, Field(ge=1, le=1_000_000_000)]
    window_seconds: Annotated[StrictInt, Field(ge=1, le=366 * 24 * 3600)]


class MintBody(Body):
    """The key that is wanted. Tenant, owner, prefix and environment default to the caller's own."""

    name: Name
    scopes: Annotated[list[Scope], Field(max_length=100)] | None = None
    preset: StrictStr | None = None
    role: StrictStr | None = None
    tenant: Name | None = None
    owner: Name | None = None
    prefix: StrictStr | None = None
    environment: StrictStr | None = None
    expires_at: Time | None = None
    networks: Annotated[list[Network], Field(max_length=100)] = []
    limits: Annotated[list[LimitBody], Field(max_length=10)] = []
    credits: StrictStr | None = None
    metadata: dict[str, Any] = {}
    unique: Literal["tenant", "owner"] | None = None


class PatchBody(Body):
    """What is to change; a field that is left out stays."""

    name: Name | None = None
    owner: Name | None = None
    scopes: Annotated[list[Scope], Field(max_length=100)] | None = None
    role: StrictStr | None = None
    expires_at: Time | None = None
    networks: Annotated[list[Network], Field(max_length=100)] | None = None
    limits: Annotated[list[LimitBody], Field(max_length=10)] | None = None
    credits: StrictStr | None = None
    metadata: dict[str, Any] | None = None


class RotationBody(Body):
    """How long the other secrets keep working: 1 hour to 7 days, or 0 when the key is compromised."""

    grace_seconds: Annotated[StrictInt, Field(ge=0, le=604_800)] | None = None
    compromised: StrictBool = False
    force: StrictBool = False


class RevokeBody(Body):
    """Why, and whether to answer only once no node can accept the key any more."""

    reason: Annotated[StrictStr, Field(min_length=1, max_length=500)] | None = None
    wait: StrictBool = False


class TenantBody(Body):
    """A tenant to be made."""

    id: Annotated[StrictStr, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,35}$")]
    name: Name | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None
    limits: Annotated[list[LimitBody], Field(max_length=10)] = []
    quota: dict[str, Any] | None = None
    metadata: dict[str, Any] = {}


class TenantPatchBody(Body):
    """What is to change about a tenant; a field that is left out stays."""

    name: Name | None = None
    starts_at: Time | None = None
    ends_at: Time | None = None
    limits: Annotated[list[LimitBody], Field(max_length=10)] | None = None
    quota: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class ServiceBody(Body):
    """Which service is suspended or resumed."""

    service: Literal["ingest", "query", "workspace"]
    reason: Annotated[StrictStr, Field(min_length=1, max_length=500)] | None = None


class VersionView(BaseModel):
    """One secret of a key."""

    number: int
    state: Literal["live", "retired", "aborted", "destroyed"]
    created_at: Time
    not_after: Time | None
    last_used_at: Time | None
    uses: int


class KeyView(BaseModel):
    """A key as everybody who may look sees it; its secret is never here."""

    model_config = ConfigDict(extra="allow")

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


class TenantView(BaseModel):
    """A tenant."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str
    suspended: list[str]
    starts_at: Time | None
    ends_at: Time | None
    revision: int


class EventView(BaseModel):
    """One committed change."""

    model_config = ConfigDict(extra="allow")

    number: int
    kind: str
    at: Time
    actor: str


class DenialView(BaseModel):
    """A refusal, or `times` unproved ones of one address and reason."""

    model_config = ConfigDict(extra="allow")

    at: Time
    reason: str
    times: int


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
