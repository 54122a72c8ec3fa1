"""What the management of upstreams and APIs takes: bodies and queries. Here are only shapes.

The rules of each field stand in keyrack.gateway.admin.upstream_fields, rotation_fields and api_fields.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.config import JsonDict

from keyrack.core.rotation import MAX_GRACE, MIN_GRACE
from keyrack.gateway.admin import api_fields, origins, upstream_fields
from keyrack.gateway.admin.rotations import STEPS
from keyrack.server.bodies import Body, Paging, Scope, Time

GROUP_PATTERN = f"^{upstream_fields.NAME_PATTERN}$"
API_NAME_PATTERN = GROUP_PATTERN
API_VERSION_PATTERN = f"^{api_fields.VERSION_PATTERN}$"

Group = Annotated[StrictStr, Field(pattern=GROUP_PATTERN, examples=["openai"])]
UpstreamKey = Annotated[
    StrictStr,
    Field(
        min_length=upstream_fields.MIN_KEY,
        max_length=upstream_fields.MAX_KEY,
        pattern="^[!-~]([ -~]*[!-~])?$",
        description="Written, and never shown again.",
        examples=["an-upstream-key-of-theirs"],
    ),
]
Header = Annotated[
    StrictStr, Field(pattern=f"^{upstream_fields.HEADER_PATTERN}$", examples=["Authorization"])
]
Format = Annotated[
    StrictStr,
    Field(
        max_length=upstream_fields.MAX_FORMAT,
        pattern=r"^[ -~]*\{key\}[ -~]*$",
        description="What the header holds; the key goes where `{key}` stands, once.",
        examples=["Bearer {key}"],
    ),
]
Origin = Annotated[StrictStr, Field(max_length=origins.MAX_URL, examples=["https://api.example:443"])]
Origins = Annotated[list[Origin], Field(min_length=1, max_length=upstream_fields.MAX_ORIGINS)]
Units = Annotated[StrictInt, Field(ge=0, le=upstream_fields.MAX_UNITS)]
Percent = Annotated[StrictInt, Field(json_schema_extra={"enum": list(STEPS)})]
Headers = Annotated[list[Header], Field(max_length=api_fields.MAX_HEADERS)]
Server = Annotated[StrictStr, Field(max_length=origins.MAX_URL, examples=["https://api.example/v1"])]
Servers = Annotated[list[Server], Field(min_length=1, max_length=api_fields.MAX_SERVERS)]
Retries = Annotated[StrictInt, Field(ge=0, le=api_fields.MAX_RETRIES)]
Pointer = Annotated[
    StrictStr,
    Field(
        max_length=api_fields.MAX_POINTER,
        pattern=f"^{api_fields.POINTER_PATTERN}$",
        examples=["/usage/total_tokens"],
    ),
]
GRACE_SHAPE: JsonDict = {
    "minimum": int(MIN_GRACE.total_seconds()),
    "maximum": int(MAX_GRACE.total_seconds()),
    "examples": [86400],
}
"""As the document describes it; gateway.admin.rotations refuses what is outside, by a code of its own."""
TENANT = Field(max_length=100, description="Whose: the caller's own, or with `tenants:manage` another.")


class TierBody(Body):
    """What a user of this tier gets in each period; null is no limit."""

    tier_name: Annotated[StrictStr, Field(min_length=1, max_length=50, examples=["basic"])]
    credits: Units
    input_limit: Units | None
    output_limit: Units | None
    reset_frequency: Literal["never", "hourly", "daily", "weekly", "monthly", "yearly"]


Tiers = Annotated[list[TierBody], Field(min_length=1, max_length=upstream_fields.MAX_TIERS)]
_TIER: JsonDict = {
    "tier_name": "basic",
    "credits": 1000,
    "input_limit": 1_000_000,
    "output_limit": 4_000_000,
    "reset_frequency": "monthly",
}
"""Without a null: what writes the document leaves those out of examples."""


class GroupBody(Body):
    """A credit group to be made, with a rotation at once where a new key is given as well."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "api_credit_group": "openai",
                    "api_key": "an-upstream-key-of-theirs",
                    "api_key_header": "Authorization",
                    "api_key_format": "Bearer {key}",
                    "api_key_origins": ["https://api.example:443"],
                    "credit_tiers": [_TIER],
                }
            ]
        }
    )

    api_credit_group: Group
    api_key: UpstreamKey = Field(repr=False)
    api_key_header: Header
    api_key_format: Format = Field(default_factory=str)
    api_key_origins: Origins = Field(default_factory=list)
    api_key_new: UpstreamKey | None = Field(default=None, repr=False)
    api_key_rotation_expires: Time | None = None
    credit_tiers: Tiers


class GroupPutBody(Body):
    """What is to change. A field that is left out stays; nulls end a rotation, or change nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"credit_tiers": [_TIER]}]})

    api_credit_group: Group = Field(default_factory=str)
    api_key: UpstreamKey = Field(default_factory=str, repr=False)
    api_key_header: Header = Field(default_factory=str)
    api_key_format: Format = Field(default_factory=str)
    api_key_origins: Origins = Field(default_factory=list)
    api_key_new: UpstreamKey | None = Field(default=None, repr=False)
    api_key_rotation_expires: Time | None = None
    credit_tiers: Tiers = Field(default_factory=list)


class RotationStartBody(Body):
    """The next key, and when grace ends: a time, a number of seconds, or what the plan says (24 hours)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"api_key_new": "the-next-key-of-theirs", "grace_seconds": 86400},
                {"api_key_new": "the-next-key-of-theirs", "plan": "emergency"},
                {"api_key_new": "the-next-key-of-theirs", "plan": "gradual", "force": True},
            ]
        }
    )

    api_key: UpstreamKey = Field(default_factory=str, repr=False)
    api_key_new: UpstreamKey | None = Field(default=None, repr=False)
    api_key_rotation_expires: Time | None = None
    grace_seconds: Annotated[StrictInt, Field(json_schema_extra=GRACE_SHAPE)] = Field(default_factory=int)
    plan: Literal["planned", "emergency", "gradual"] = "planned"
    force: StrictBool = False


class RotationPatchBody(Body):
    """What is to be different about the rotation that is under way."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rollout_percent": 25}]})

    rollout_percent: Percent = 100
    api_key_rotation_expires: Time = Field(default_factory=str)


class PromotionBody(Body):
    """Whether the old key is erased at once, so that nothing brings it back."""

    destroy: StrictBool = False


class EndpointBody(Body):
    """One operation of an API: what a caller's key must hold for it, and what it costs."""

    method: api_fields.Method
    uri: Annotated[StrictStr, Field(max_length=origins.MAX_URL, examples=["/chat/{id}"])]
    scope: Scope
    cost: Annotated[StrictInt, Field(ge=0, le=api_fields.MAX_COST)] = 1


class PointersBody(Body):
    """Where an answer says how many units it took (RFC 6901); without, bytes are counted."""

    input: Pointer = Field(default_factory=str)
    output: Pointer = Field(default_factory=str)


Endpoints = Annotated[list[EndpointBody], Field(max_length=api_fields.MAX_ENDPOINTS)]


class ApiPutBody(Body):
    """What is to change. A field that is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False}]})

    api_name: Group = Field(default_factory=str)
    api_version: Annotated[StrictStr, Field(pattern=API_VERSION_PATTERN)] = Field(default_factory=str)
    api_servers: Servers = Field(default_factory=list)
    active: StrictBool = True
    api_public: StrictBool = False
    api_credits_enabled: StrictBool = False
    api_credit_group: Group | None = None
    api_allowed_headers: Headers = Field(default_factory=list)
    api_response_headers: Headers = Field(default_factory=list)
    api_allowed_retry_count: Retries = 0
    api_usage_pointers: PointersBody = Field(default_factory=PointersBody)
    endpoints: Endpoints = Field(default_factory=list)


class ApiBody(ApiPutBody):
    """An API to be made: where it is, whose key it is sent, and what may be called."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "api_name": "chat",
                    "api_version": "v1",
                    "api_servers": ["https://api.example/v1"],
                    "endpoints": [{"method": "POST", "uri": "/chat/{id}", "scope": "chat:send", "cost": 2}],
                }
            ]
        }
    )

    api_name: Annotated[StrictStr, Field(pattern=API_NAME_PATTERN, examples=["chat"])]
    api_version: Annotated[StrictStr, Field(pattern=API_VERSION_PATTERN, examples=["v1"])]
    api_servers: Servers


class TenantQuery(Body):
    """Whose groups and APIs."""

    tenant: Annotated[str, TENANT] | None = None


class TenantPaging(Paging):
    """Which part of whose list."""

    tenant: Annotated[str, TENANT] | None = None
