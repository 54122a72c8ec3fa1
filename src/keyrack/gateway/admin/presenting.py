"""Credit groups, balances and APIs as the JSON objects of the HTTP API. Nothing here is handed a secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keyrack.core import rotation
from keyrack.core.errors import Unavailable
from keyrack.core.events import Event
from keyrack.core.model import VersionState
from keyrack.core.records import write_time
from keyrack.core.upstream import Api, Endpoint, Tier, Upstream, UpstreamVersion
from keyrack.gateway.admin import rotations
from keyrack.gateway.monitoring.tally import Tally, UpstreamUse
from keyrack.stores.balances import Balance
from keyrack.stores.sends import HourUse, VersionUse

UNUSED = UpstreamUse({}, ())
SUCCEEDED = "succeeded"
"""What came of everything in the log: what was refused is not in it."""


def use_if_readable(tally: Tally, upstream: Upstream) -> UpstreamUse:
    """The use of a group as far as it can be said now: a change that was made is told all the same."""
    try:
        return tally.use_of(upstream)
    except Unavailable:
        return UNUSED


def upstream_json(upstream: Upstream, use: UpstreamUse, now: datetime) -> dict[str, Any]:
    """A group as it is at that time; its key only in the masked form."""
    return {
        "tenant": upstream.tenant,
        "api_credit_group": upstream.name,
        "api_key_header": upstream.header,
        "api_key_format": upstream.format,
        "api_key_present": upstream.deleted_at is None,
        "api_key_hint": rotations.primary(upstream, now).hint,
        "api_key_origins": list(upstream.origins),
        "credit_tiers": [_tier(one) for one in upstream.tiers],
        "created_at": _time(upstream.created_at),
        "updated_at": _time(upstream.updated_at),
        "revision": upstream.revision,
        "rotation": _rotation(upstream, use, now),
    }


def rotation_json(upstream: Upstream, use: UpstreamUse, now: datetime) -> dict[str, Any]:
    """The rotation of a group, with what was sent in each of its hours."""
    return {
        "api_credit_group": upstream.name,
        "revision": upstream.revision,
        **_rotation(upstream, use, now),
        "hours": [_hour(one) for one in use.hours],
    }


def versions_json(upstream: Upstream, use: UpstreamUse, now: datetime) -> list[dict[str, Any]]:
    """The versions of a group's key by number, with the use of each."""
    ordered = sorted(upstream.versions, key=lambda version: version.number)
    return [_version(one, use.versions.get(one.number), now) for one in ordered]


def history_json(event: Event) -> dict[str, Any]:
    """One change of a group: by whom, from where, and which versions were live after it."""
    data = dict(event.data)
    return {
        "number": event.number,
        "at": _time(event.at),
        "actor": event.actor,
        "action": event.kind.value,
        "target": event.subject,
        "versions": data.pop("versions", []),
        "status": SUCCEEDED,
        "address": event.address,
        "path": data.pop("path", None),
        "request_id": event.request_id,
        "data": data,
    }


def balance_json(balance: Balance) -> dict[str, Any]:
    """What a user has left in a group."""
    resets_at = balance.resets_at
    return {
        "username": balance.account.owner,
        "api_credit_group": balance.account.group,
        "tier_name": balance.tier,
        "available_credits": balance.available,
        "reset_date": None if resets_at is None else _time(datetime.fromtimestamp(resets_at, UTC)),
        "input_used": balance.input_used,
        "output_used": balance.output_used,
        "user_api_key_present": balance.user_key is not None,
    }


def api_json(api: Api) -> dict[str, Any]:
    """The document of an API."""
    return {
        "tenant": api.tenant,
        "api_name": api.name,
        "api_version": api.version,
        "api_servers": list(api.servers),
        "active": api.active,
        "api_public": api.public,
        "api_credits_enabled": api.charged,
        "api_credit_group": api.group,
        "api_allowed_headers": list(api.request_headers),
        "api_response_headers": list(api.response_headers),
        "api_allowed_retry_count": api.retries,
        "api_usage_pointers": dict(api.usage_pointers),
        "endpoints": [_endpoint(one) for one in api.endpoints],
        "created_at": _time(api.created_at),
        "updated_at": _time(api.updated_at),
        "revision": api.revision,
    }


def _rotation(upstream: Upstream, use: UpstreamUse, now: datetime) -> dict[str, Any]:
    rollout, between = upstream.rollout, rotations.pair(upstream, now)
    old, new = between or (None, None)
    of_old, of_new = _use_of(use, old), _use_of(use, new)
    return {
        "state": rotations.state(upstream, now),
        "started_at": _time(rollout.started_at) if rollout else None,
        "api_key_rotation_expires": _time(old.not_after) if old else None,
        "plan": rollout.plan.value if rollout else None,
        "policy": rollout.policy.value if rollout and rollout.policy else None,
        "rollout_percent": rollout.percent if rollout else None,
        "old_version": old.number if old else None,
        "new_version": new.number if new else None,
        "uses_old": of_old.uses if of_old else 0,
        "uses_new": of_new.uses if of_new else 0,
        "fallbacks": sum(hour.fallbacks for hour in use.hours),
        "last_used_old": _seconds(of_old.last_at) if of_old else None,
        "cleaned_up_at": _time(upstream.cleaned_up_at),
    }


def _use_of(use: UpstreamUse, version: UpstreamVersion | None) -> VersionUse | None:
    return None if version is None else use.versions.get(version.number)


def _version(version: UpstreamVersion, use: VersionUse | None, now: datetime) -> dict[str, Any]:
    has_ended = version.state is VersionState.LIVE and not rotation.is_live(version, now)
    return {
        "number": version.number,
        "state": (VersionState.RETIRED if has_ended else version.state).value,
        "hint": version.hint,
        "created_at": _time(version.created_at),
        "not_after": _time(version.not_after),
        "uses": use.uses if use else 0,
        "refusals": use.refusals if use else 0,
        "first_used_at": _seconds(use.first_at) if use else None,
        "last_used_at": _seconds(use.last_at) if use else None,
        "last_success_at": _seconds(use.accepted_at) if use else None,
    }


def _hour(hour: HourUse) -> dict[str, Any]:
    return {
        "version": hour.number,
        "hour_at": _seconds(hour.hour_at),
        "uses": hour.uses,
        "accepted": hour.accepted,
        "refused": hour.refused,
        "fallbacks": hour.fallbacks,
        "not_replayed": hour.not_replayed,
    }


def _tier(tier: Tier) -> dict[str, Any]:
    return {
        "tier_name": tier.name,
        "credits": tier.credits,
        "input_limit": tier.input_limit,
        "output_limit": tier.output_limit,
        "reset_frequency": tier.reset_frequency.value,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    members = ("method", "uri", "scope", "cost")
    return {name: getattr(endpoint, name) for name in members}


def _time(value: datetime | None) -> str | None:
    return None if value is None else write_time(value)


def _seconds(unix: float | None) -> str | None:
    return None if unix is None else write_time(datetime.fromtimestamp(int(unix), UTC))
