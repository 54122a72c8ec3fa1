"""What the management of upstreams and APIs gives. No view has a place for a secret."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from keyrack.server.bodies import Time
from keyrack.server.upstream_bodies import EndpointBody, TierBody


class HourView(BaseModel):
    """What one version was sent in one hour of a rotation, counted from its start."""

    version: int
    hour_at: Time
    uses: int
    accepted: int
    refused: int
    fallbacks: int
    not_replayed: int


class RotationState(BaseModel):
    """How far a rotation is. `policy` and `rollout_percent` are null while each sender goes by its own."""

    state: Literal["none", "active", "expired"]
    started_at: Time | None
    api_key_rotation_expires: Time | None
    plan: Literal["planned", "emergency", "gradual"] | None
    policy: Literal["prefer_new", "hold_old"] | None
    rollout_percent: int | None
    old_version: int | None
    new_version: int | None
    uses_old: int
    uses_new: int
    fallbacks: int
    last_used_old: Time | None
    cleaned_up_at: Time | None


class RotationView(RotationState):
    """The rotation of a group, and what was sent in each of its hours."""

    api_credit_group: str
    revision: int
    hours: list[HourView]


class GroupView(BaseModel):
    """A credit group; its key only in the masked form."""

    tenant: str
    api_credit_group: str
    api_key_header: str
    api_key_format: str
    api_key_present: bool
    api_key_hint: str
    api_key_origins: list[str]
    credit_tiers: list[TierBody]
    created_at: Time
    updated_at: Time | None
    revision: int
    rotation: RotationState


class GroupVersionView(BaseModel):
    """One version of a group's key, and its use."""

    number: int
    state: Literal["live", "retired", "aborted", "destroyed"]
    hint: str
    created_at: Time
    not_after: Time | None
    uses: int
    refusals: int
    first_used_at: Time | None
    last_used_at: Time | None
    last_success_at: Time | None


class HistoryView(BaseModel):
    """One change of a group, as the log has it; what is secret was left out before it was written."""

    number: int
    at: Time
    actor: str
    action: str
    target: str
    versions: list[int]
    status: Literal["succeeded"]
    address: str | None
    path: str | None
    request_id: str | None
    data: dict[str, Any]


class ApiView(BaseModel):
    """The document of an API."""

    tenant: str
    api_name: str
    api_version: str
    api_servers: list[str]
    active: bool
    api_public: bool
    api_credits_enabled: bool
    api_credit_group: str | None
    api_allowed_headers: list[str]
    api_response_headers: list[str]
    api_allowed_retry_count: int
    api_usage_pointers: dict[str, str]
    endpoints: list[EndpointBody]
    created_at: Time
    updated_at: Time | None
    revision: int
