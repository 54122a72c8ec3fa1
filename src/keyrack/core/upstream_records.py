"""Upstreams and APIs as bytes, in the same form as the records of keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from keyrack.core.model import VersionState
from keyrack.core.records import FORMAT, dump, present, read_optional, read_time, times, write_time
from keyrack.core.upstream import (
    Api,
    Endpoint,
    Plan,
    ResetFrequency,
    Rollout,
    SendPolicy,
    Tier,
    Upstream,
    UpstreamVersion,
)


def write_upstream(upstream: Upstream) -> bytes:
    """The bytes of an upstream's record."""
    members = {
        "format": FORMAT,
        "tenant": upstream.tenant,
        "name": upstream.name,
        "header": upstream.header,
        "key_format": upstream.format,
        "origins": upstream.origins,
        "tiers": [asdict(tier) for tier in upstream.tiers],
        "versions": [_version(one) for one in upstream.versions],
        "rollout": None if upstream.rollout is None else _rollout(upstream.rollout),
        "revision": upstream.revision,
        **times(upstream, "created_at", "updated_at", "deleted_at", "cleaned_up_at"),
    }
    return dump(members, upstream.unknown)


def read_upstream(body: bytes) -> Upstream:
    """The upstream of a record's bytes, which were authenticated before."""
    record = json.loads(body)
    del record["format"]
    return Upstream(
        tenant=record.pop("tenant"),
        name=record.pop("name"),
        header=record.pop("header"),
        format=record.pop("key_format"),
        origins=tuple(record.pop("origins", ())),
        tiers=tuple(_read_tier(one) for one in record.pop("tiers", ())),
        versions=tuple(_read_version(one) for one in record.pop("versions", ())),
        rollout=_read_rollout(record.pop("rollout", None)),
        revision=record.pop("revision"),
        created_at=read_time(record.pop("created_at")),
        updated_at=read_optional(record.pop("updated_at", None)),
        deleted_at=read_optional(record.pop("deleted_at", None)),
        cleaned_up_at=read_optional(record.pop("cleaned_up_at", None)),
        unknown=record,
    )


def write_api(api: Api) -> bytes:
    """The bytes of an API's record."""
    members = {
        "format": FORMAT,
        "tenant": api.tenant,
        "name": api.name,
        "version": api.version,
        "servers": api.servers,
        "inactive": not api.active or None,
        "public": api.public or None,
        "charged": api.charged or None,
        "group": api.group,
        "request_headers": api.request_headers,
        "response_headers": api.response_headers,
        "retries": api.retries or None,
        "endpoints": [[one.method, one.uri, one.scope, one.cost] for one in api.endpoints],
        "usage_pointers": api.usage_pointers,
        "revision": api.revision,
        **times(api, "created_at", "updated_at", "deleted_at"),
    }
    return dump(members, api.unknown)


def read_api(body: bytes) -> Api:
    """The API of a record's bytes, which were authenticated before."""
    record = json.loads(body)
    del record["format"]
    return Api(
        tenant=record.pop("tenant"),
        name=record.pop("name"),
        version=record.pop("version"),
        servers=tuple(record.pop("servers", ())),
        active=not record.pop("inactive", False),
        public=record.pop("public", False),
        charged=record.pop("charged", False),
        group=record.pop("group", None),
        request_headers=tuple(record.pop("request_headers", ())),
        response_headers=tuple(record.pop("response_headers", ())),
        retries=record.pop("retries", 0),
        endpoints=tuple(Endpoint(*one) for one in record.pop("endpoints", ())),
        usage_pointers=record.pop("usage_pointers", {}),
        revision=record.pop("revision"),
        created_at=read_time(record.pop("created_at")),
        updated_at=read_optional(record.pop("updated_at", None)),
        deleted_at=read_optional(record.pop("deleted_at", None)),
        unknown=record,
    )


def _version(version: UpstreamVersion) -> dict[str, Any]:
    members = {
        "number": version.number,
        "state": version.state,
        "created_at": write_time(version.created_at),
        "not_after": None if version.not_after is None else write_time(version.not_after),
        "hint": version.hint,
        "unreadable_end": version.has_unreadable_end or None,
    }
    return {**version.unknown, **present(members)}


def _read_version(record: dict[str, Any]) -> UpstreamVersion:
    created_at, end = read_time(record.pop("created_at")), record.pop("not_after", None)
    not_after = None if end is None else _read_end(end)
    has_unreadable_end = end is not None and not_after is None
    return UpstreamVersion(
        number=record.pop("number"),
        state=VersionState(record.pop("state")),
        created_at=created_at,
        # Passed as long as can be said: an end that nobody can read must not keep an old key alive.
        not_after=created_at if has_unreadable_end else not_after,
        hint=record.pop("hint"),
        has_unreadable_end=record.pop("unreadable_end", False) or has_unreadable_end,
        unknown=record,
    )


def _read_end(text: object) -> datetime | None:
    """The end of a version; None for what is no time, or one without an offset."""
    try:
        end = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if end is None or end.tzinfo is None else end


def _rollout(rollout: Rollout) -> dict[str, Any]:
    members = {
        "id": rollout.id,
        "plan": rollout.plan,
        "policy": rollout.policy,
        "percent": rollout.percent,
        **times(rollout, "started_at", "stepped_at", "held_at"),
    }
    return present(members)


def _read_rollout(record: Mapping[str, Any] | None) -> Rollout | None:
    if record is None:
        return None
    return Rollout(
        id=record["id"],
        started_at=read_time(record["started_at"]),
        plan=Plan(record["plan"]),
        policy=SendPolicy(record["policy"]) if "policy" in record else None,
        percent=record.get("percent"),
        stepped_at=read_optional(record.get("stepped_at")),
        held_at=read_optional(record.get("held_at")),
    )


def _read_tier(record: Mapping[str, Any]) -> Tier:
    frequency = ResetFrequency(record["reset_frequency"])
    return Tier(record["name"], record["credits"], record["input_limit"], record["output_limit"], frequency)
