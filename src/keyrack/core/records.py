"""Records as bytes: compact JSON that names its format; members of later formats are kept.

The bytes are what is authenticated and stored, so a record is written once and never re-written to
look different.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from sys import intern
from typing import Any

from keyrack.core.model import Block, Key, Limit, Secret, Status, Tenant, VersionState
from keyrack.core.sealed import SealedSecret
from keyrack.core.sealed import parse as parse_ciphertext

FORMAT = 1
_NOTHING: Mapping[str, Any] = {}
"""In place of a dict that was emptied: one keeps the room of what it held."""


def write_key(key: Key) -> bytes:
    """The bytes of a key's record."""
    members = {
        "format": FORMAT,
        "id": key.id,
        "prefix": key.prefix,
        "environment": key.environment,
        "tenant": key.tenant,
        "name": key.name,
        "owner": key.owner,
        "scopes": key.scopes,
        "preset": key.preset,
        "role": key.role,
        "status": None if key.status is Status.ACTIVE else key.status,
        "networks": [str(one) for one in key.networks],
        "limits": _limits(key.limits),
        "credits": key.credits,
        "metadata": key.metadata,
        "created_by": key.created_by,
        "revoked_reason": key.revoked_reason,
        "revision": key.revision,
        "ending": key.ending,
        "versions": [_version(one) for one in key.versions],
        **times(key, "created_at", "updated_at", "expires_at", "revoked_at"),
    }
    return dump(members, key.unknown)


def read_key(body: bytes) -> Key:
    """The key of a record's bytes, which were authenticated before."""
    record = json.loads(body)
    del record["format"]
    return Key(
        id=record.pop("id"),
        prefix=intern(record.pop("prefix")),
        environment=intern(record.pop("environment")),
        tenant=intern(record.pop("tenant")),
        name=record.pop("name"),
        owner=record.pop("owner", None),
        scopes=tuple(map(intern, record.pop("scopes", ()))),
        preset=record.pop("preset", None),
        role=record.pop("role", None),
        status=Status(record.pop("status", Status.ACTIVE)),
        networks=tuple(ip_network(one) for one in record.pop("networks", ())),
        limits=_read_limits(record.pop("limits", ())),
        credits=record.pop("credits", None),
        metadata=record.pop("metadata", {}),
        created_by=intern(record.pop("created_by")),
        revoked_reason=record.pop("revoked_reason", None),
        revision=record.pop("revision"),
        ending=record.pop("ending"),
        versions=tuple(_read_version(one) for one in record.pop("versions")),
        created_at=read_time(record.pop("created_at")),
        updated_at=read_optional(record.pop("updated_at", None)),
        expires_at=read_optional(record.pop("expires_at", None)),
        revoked_at=read_optional(record.pop("revoked_at", None)),
        unknown=record or _NOTHING,
    )


def write_tenant(tenant: Tenant) -> bytes:
    """The bytes of a tenant's record."""
    members = {
        "format": FORMAT,
        "id": tenant.id,
        "name": tenant.name,
        "suspended": tenant.suspended,
        "limits": _limits(tenant.limits),
        "quota": tenant.quota,
        "metadata": tenant.metadata,
        "blocks": [_block(one) for one in tenant.blocks],
        "revision": tenant.revision,
        **times(tenant, "created_at", "updated_at", "starts_at", "ends_at", "deleted_at"),
    }
    return dump(members, tenant.unknown)


def read_tenant(body: bytes) -> Tenant:
    """The tenant of a record's bytes, which were authenticated before."""
    record = json.loads(body)
    del record["format"]
    return Tenant(
        id=record.pop("id"),
        name=record.pop("name"),
        suspended=tuple(record.pop("suspended", ())),
        limits=_read_limits(record.pop("limits", ())),
        quota=record.pop("quota", None),
        metadata=record.pop("metadata", {}),
        blocks=tuple(_read_block(one) for one in record.pop("blocks", ())),
        revision=record.pop("revision"),
        created_at=read_time(record.pop("created_at")),
        updated_at=read_optional(record.pop("updated_at", None)),
        starts_at=read_optional(record.pop("starts_at", None)),
        ends_at=read_optional(record.pop("ends_at", None)),
        deleted_at=read_optional(record.pop("deleted_at", None)),
        unknown=record or _NOTHING,
    )


def write_secret(secret: SealedSecret) -> bytes:
    """The bytes of a sealed secret's record."""
    members = {
        "format": FORMAT,
        "purpose": secret.purpose,
        "tenant": secret.tenant,
        "name": secret.name,
        "version": secret.version,
        "ciphertext": None if secret.ciphertext is None else secret.ciphertext.text,
        "facts": secret.facts,
        "revision": secret.revision,
        **times(secret, "created_at", "not_after"),
    }
    return dump(members, secret.unknown)


def read_secret(body: bytes) -> SealedSecret:
    """The sealed secret of a record's bytes, which were authenticated before."""
    record = json.loads(body)
    del record["format"]
    return SealedSecret(
        purpose=record.pop("purpose"),
        tenant=record.pop("tenant"),
        name=record.pop("name"),
        version=record.pop("version"),
        ciphertext=parse_ciphertext(record.pop("ciphertext", "")),
        facts=record.pop("facts", {}),
        revision=record.pop("revision"),
        created_at=read_time(record.pop("created_at")),
        not_after=read_optional(record.pop("not_after", None)),
        unknown=record or _NOTHING,
    )


def write_time(value: datetime) -> str:
    """RFC 3339 in UTC with `Z`, with a fraction only where there is one.

    Raises ValueError for a time without an offset.
    """
    if value.tzinfo is None:
        raise ValueError("a time is written with its offset")
    return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def read_time(text: str) -> datetime:
    """The time that `write_time` wrote."""
    return datetime.fromisoformat(text)


def read_optional(text: str | None) -> datetime | None:
    """The time that was written, if one was."""
    return None if text is None else read_time(text)


def times(record: object, *names: str) -> dict[str, str | None]:
    """These times of a value as they are written."""
    values = {name: getattr(record, name) for name in names}
    return {name: None if value is None else write_time(value) for name, value in values.items()}


def _version(version: Secret) -> dict[str, Any]:
    members = {
        "number": version.number,
        "state": None if version.state is VersionState.LIVE else version.state,
        "created_at": write_time(version.created_at),
        "not_after": None if version.not_after is None else write_time(version.not_after),
        "pepper": version.pepper,
        "digest": b64encode(version.digest).decode(),
        "foreign": version.foreign or None,
    }
    return {**version.unknown, **present(members)}


def _read_version(record: dict[str, Any]) -> Secret:
    return Secret(
        number=record.pop("number"),
        state=VersionState(record.pop("state", VersionState.LIVE)),
        created_at=read_time(record.pop("created_at")),
        not_after=read_optional(record.pop("not_after", None)),
        pepper=intern(record.pop("pepper")),
        digest=b64decode(record.pop("digest")),
        foreign=record.pop("foreign", False),
        unknown=record or _NOTHING,
    )


def _block(block: Block) -> dict[str, Any]:
    members = {"id": block.id, "network": str(block.network), "reason": block.reason}
    return present({**members, **times(block, "created_at", "expires_at")})


def _read_block(record: dict[str, Any]) -> Block:
    return Block(
        id=record["id"],
        network=ip_network(record["network"]),
        created_at=read_time(record["created_at"]),
        reason=record.get("reason"),
        expires_at=read_optional(record.get("expires_at")),
    )


def _limits(limits: Iterable[Limit]) -> list[list[str | int]]:
    return [[one.name, one.limit, one.window_seconds] for one in limits]


def _read_limits(rows: Iterable[list[Any]]) -> tuple[Limit, ...]:
    return tuple(Limit(*row) for row in rows)


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth its bytes: a million records are kept in memory as they are written."""
    return {name: value for name, value in members.items() if value not in (None, (), [], {})}


def dump(members: Mapping[str, Any], unknown: Mapping[str, Any]) -> bytes:
    """The bytes of a record: its members, and those of a later format that it came with."""
    return json.dumps({**unknown, **present(members)}, separators=(",", ":"), ensure_ascii=False).encode()
