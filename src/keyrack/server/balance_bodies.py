"""What `/v1/credit-balances` takes and gives. No view has a place for a secret."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from keyrack.core import fields
from keyrack.server.bodies import Body, Time
from keyrack.server.upstream_bodies import TenantPaging, Units, UpstreamKey


class BalancePatchBody(Body):
    """What is to change. A field that is left out stays; a new balance needs a tier."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"tier_name": "basic"},
                {"available_credits": 500, "reset_date": "2100-01-01T00:00:00Z"},
                {"user_api_key": None},
            ]
        }
    )

    tier_name: Annotated[StrictStr, Field(min_length=1, max_length=50)] = Field(default_factory=str)
    available_credits: Units = Field(default_factory=int)
    reset_date: Time = Field(default_factory=str)
    user_api_key: Annotated[
        UpstreamKey | None, Field(description="Sent in the place of the group's key; null takes it away.")
    ] = None


class BalancesQuery(TenantPaging):
    """Which balances, and which part of the list."""

    search: (
        Annotated[
            str, Field(min_length=1, max_length=fields.MAX_NAME, description="A part of the user's name.")
        ]
        | None
    ) = None


class BalanceView(BaseModel):
    """What a user has left in a group; whether the user has a key of their own, and never which."""

    username: str
    api_credit_group: str
    tier_name: str
    available_credits: int
    reset_date: Time | None
    input_used: int
    output_used: int
    user_api_key_present: bool
