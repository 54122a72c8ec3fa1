"""What the management API takes, for validation and for the OpenAPI document: bodies and queries.

The rules of each field stand in keyrack.core.fields; here are only shapes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from keyrack.core import fields
from keyrack.core.rotation import MAX_GRACE
from keyrack.core.scopes import MAX_LENGTH, MAX_SCOPES, PATTERN
from keyrack.core.session import MAX_LIFE

TENANT_ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,35}"
SCOPE_SHAPE = {
    "type": "string",
    "pattern": f"^{PATTERN}$",
    "maxLength": MAX_LENGTH,
    "examples": ["logs:read"],
}
"""A scope as the document describes it; keyrack.core.fields refuses what is none."""

Time = Annotated[StrictStr, Field(json_schema_extra={"format": "date-time"}, max_length=64)]
Name = Annotated[
    StrictStr, Field(min_length=1, max_length=fields.MAX_NAME, description="Printable characters.")
]
Scope = Annotated[StrictStr, Field(json_schema_extra=SCOPE_SHAPE)]
Scopes = Annotated[list[Scope], Field(max_length=MAX_SCOPES)]
Network = Annotated[StrictStr, Field(max_length=64, examples=["10.0.0.0/8"])]
Networks = Annotated[list[Network], Field(max_length=fields.MAX_NETWORKS)]
Reason = Annotated[StrictStr, Field(min_length=1, max_length=fields.MAX_REASON)]
Metadata = Annotated[dict[str, Any], Field(description="At most 4 KB of JSON.")]


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class NoBody(Body):
    """For operations that take nothing: `{}`, or no body at all."""


class LimitBody(Body):
    """At most `limit` units in any window of so many seconds."""

    name: Annotated[StrictStr, Field(pattern="^[A-Za-z0-9_.-]{1,50}$", examples=["minute"])]
    limit: Annotated[StrictInt, Field(ge=1, le=fields.MAX_LIMIT)]
    window_seconds: Annotated[StrictInt, Field(ge=1, le=fields.MAX_WINDOW_SECONDS)]


Limits = Annotated[list[LimitBody], Field(max_length=fields.MAX_LIMITS)]


class MintBody(Body):
    """The key that is wanted. Tenant, owner, prefix and environment default to the caller's own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "deploy", "scopes": ["logs:read"], "expires_at": "2100-01-01T00:00:00Z"},
                {
                    "name": "reports",
                    "scopes": ["reports/*:read"],
                    "owner": "ada",
                    "environment": "test",
                    "networks": ["10.0.0.0/8", "2001:db8::/32"],
                    "limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
                    "metadata": {"team": "billing"},
                },
            ]
        }
    )

    name: Name
    scopes: Scopes | None = None
    preset: StrictStr | None = None
    role: StrictStr | None = None
    tenant: Name | None = None
    owner: Name | None = None
    prefix: StrictStr | None = None
    environment: StrictStr | None = None
    expires_at: Time | None = None
    networks: Networks = []
    limits: Limits = []
    credits: StrictStr | None = None
    metadata: Metadata = {}
    unique: Literal["tenant", "owner"] | None = None


class PatchBody(Body):
    """What is to change. A field that is left out stays; null takes away what need not be there."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "renamed", "expires_at": None, "metadata": {"team": "ops"}}]}
    )

    name: Name = Field(default_factory=str)
    owner: Name | None = None
    scopes: Scopes = Field(default_factory=list)
    role: StrictStr | None = None
    expires_at: Time | None = None
    networks: Networks = Field(default_factory=list)
    limits: Limits = Field(default_factory=list)
    credits: StrictStr | None = None
    metadata: Metadata = Field(default_factory=dict)


class RotationBody(Body):
    """How long the other secrets keep working: 1 hour to 7 days, or 0 when the key is compromised."""

    grace_seconds: (
        Annotated[StrictInt, Field(ge=0, le=int(MAX_GRACE.total_seconds()), examples=[86400])] | None
    ) = None
    compromised: StrictBool = False
    force: StrictBool = False


class RevokeBody(Body):
    """Why, and whether to answer only once no node can accept the key any more."""

    reason: Reason | None = None
    wait: StrictBool = False


class SessionBody(Body):
    """The session that is wanted: by default all of the key's scopes, for any service and 15 minutes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scopes": ["logs:read"], "ttl_seconds": 300}]})

    scopes: Scopes | None = None
    ttl_seconds: Annotated[StrictInt, Field(ge=1, le=int(MAX_LIFE.total_seconds()))] = int(
        MAX_LIFE.total_seconds()
    )
    audience: (
        Annotated[Name, Field(description="The one service that it is meant for, as guards name it.")] | None
    ) = None


class TenantBody(Body):
    """A tenant to be made."""

    id: Annotated[StrictStr, Field(pattern=f"^{TENANT_ID}$", examples=["acme"])]
    name: Name = Field(default_factory=str)
    starts_at: Time | None = None
    ends_at: Time | None = None
    limits: Limits | None = None
    quota: dict[str, Any] | None = None
    metadata: Metadata | None = None


class TenantPatchBody(Body):
    """What is to change. A field that is left out stays; null takes away what need not be there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Acme Ltd", "ends_at": None}]})

    name: Name = Field(default_factory=str)
    starts_at: Time | None = None
    ends_at: Time | None = None
    limits: Limits | None = None
    quota: dict[str, Any] | None = None
    metadata: Metadata | None = None


class ServiceBody(Body):
    """Which service is suspended or resumed."""

    service: Literal["ingest", "query", "workspace"]
    reason: Reason | None = None


class BlockBody(Body):
    """A network that no key of a tenant may be used from, until it expires if that is given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"cidr": "203.0.113.0/24", "reason": "leaked key", "expires_at": "2100-01-01T00:00:00Z"}
            ]
        }
    )

    cidr: Network
    reason: Reason | None = None
    expires_at: Time | None = None


class BlocksQuery(BaseModel):
    """Whose blocks: those of the caller's tenant, or with `tenants:manage` of this one."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[str, Field(max_length=100)] | None = None


class Paging(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[
        str, Field(pattern="^[0-9]{1,18}$", description="`next_cursor` of the page before.")
    ] = "0"

    @property
    def after(self) -> int:
        """The cursor as the number that it is."""
        return int(self.cursor)


class KeysQuery(Paging):
    """Which keys."""

    tenant: Annotated[str, Field(max_length=100)] | None = None
    owner: Annotated[str, Field(max_length=100)] | None = None


class EventsQuery(Paging):
    """Which events."""

    tenant: Annotated[str, Field(max_length=100)] | None = None
    subject: Annotated[str, Field(max_length=100, description="The id of a key or tenant.")] | None = None


class DenialsQuery(Paging):
    """Which refusals."""

    tenant: Annotated[str, Field(max_length=100)] | None = None
