"""What clients send to manage keys and tenants: the shape of every body; Keyrack holds the rules of values.

Strict: no text is read as a number, and a field that is not named here is refused. A date-time stays
a text until Keyrack reads it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Body(BaseModel):
    """A request body; members are in camel case."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)

    def given(self) -> dict[str, Any]:
        """The members that were sent, by their names here."""
        return self.model_dump(exclude_unset=True)


class NewKey(Body):
    """A key to be made: of a type, perhaps for some streams only, or of exactly these scopes."""

    key_name: str
    key_type: Literal["ingestion", "query"] | None = None
    streams: list[str] | None = None
    scopes: list[str] | None = None
    expires_at: str | None = None
    limits: list[dict[str, Any]] = []
    networks: list[str] = []
    tenant: str | None = None


class KeyChange(Body):
    """What shall be different about a key."""

    key_name: str = ""
    streams: list[str] | None = None
    scopes: list[str] | None = None
    expires_at: str | None = None
    limits: list[dict[str, Any]] = []
    networks: list[str] = []


class Rotation(Body):
    """How long the older secret goes on working: 1 hour to 7 days."""

    grace_seconds: int = 24 * 3600


class Question(Body):
    """A key of which somebody wants to know whether it works."""

    api_key: str


class Quota(Body):
    """How much a tenant may store in each period."""

    type: Literal["sizeBytes", "eventCount"]
    limit: int


class TenantChange(Body):
    """What shall be different about a tenant."""

    customer_name: str = ""
    start_date: str | None = None
    end_date: str | None = None
    plan: str | None = None
    quota: Quota | None = None
    quota_period: Literal["Monthly", "Yearly", "Lifetime"] = "Monthly"


class NewTenant(TenantChange):
    """A tenant to be made."""

    tenant_id: str


class Suspension(Body):
    """A service that a tenant loses or gets back, and why."""

    service: Literal["ingest", "query", "workspace"]
    reason: str | None = None
