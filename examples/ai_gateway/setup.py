"""What Keyrack is told once: the provider's key, its API, who may call it, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from examples.ai_gateway.house import House
from examples.ai_gateway.http import Desk

GROUP = "models"
FREE_CREDITS = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """One of those who call models, with its own key of Keyrack."""

    name: str
    key_id: str
    secret: str = field(repr=False)


def keyrack(house: House) -> Desk:
    """The management API, for the holder of the root key."""
    return Desk(house.keyrack, {"Authorization": f"Bearer {house.root_key}"})


def console(house: House) -> Desk:
    """The provider's console, for the owner of the account."""
    return Desk(house.provider, {"X-Console-Key": house.console_key})


async def set_up(house: House) -> tuple[Caller, Caller]:
    """Two callers: `web`, who pays for a lot, and `trial`, who has five calls."""
    async with keyrack(house) as desk:
        await desk("POST", "/v1/credits", _group(house))
        await desk("POST", "/v1/apis", _api(house))
        return await _caller(desk, "web", "team"), await _caller(desk, "trial", "free")


async def _caller(desk: Desk, name: str, tier: str) -> Caller:
    scopes = ["chat:send", "models:read", "self:rotate"]
    minted = await desk("POST", "/v1/keys", {"name": name, "owner": name, "scopes": scopes})
    await desk("PATCH", f"/v1/credit-balances/{name}/{GROUP}", {"tier_name": tier})
    return Caller(name, minted["key"]["id"], minted["secret"])


def _group(house: House) -> dict[str, Any]:
    return {
        "api_credit_group": GROUP,
        "api_key": house.provider_key,
        "api_key_header": "Authorization",
        "api_key_format": "Bearer {key}",
        "api_key_origins": [house.provider],
        "credit_tiers": [_tier("team", 1_000_000, "monthly"), _tier("free", FREE_CREDITS, "never")],
    }


def _tier(name: str, calls: int, resets: str) -> dict[str, Any]:
    return {
        "tier_name": name,
        "credits": calls,
        "input_limit": None,
        "output_limit": None,
        "reset_frequency": resets,
    }


def _api(house: House) -> dict[str, Any]:
    return {
        "api_name": "chat",
        "api_version": "v1",
        "api_servers": [f"{house.provider}/v1"],
        "api_credits_enabled": True,
        "api_credit_group": GROUP,
        "api_allowed_headers": ["content-type", "accept"],
        "api_response_headers": ["content-type", "retry-after", "x-ratelimit-remaining-requests"],
        "api_usage_pointers": {"input": "/usage/prompt_tokens", "output": "/usage/completion_tokens"},
        "endpoints": [
            {"method": "POST", "uri": "/chat/completions", "scope": "chat:send", "cost": 1},
            {"method": "GET", "uri": "/models", "scope": "models:read", "cost": 0},
        ],
    }
