"""Keys as this service shows them. Only `issued` shows a secret, which exists at that moment alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from examples.log_lake.key_types import type_of
from keyrack import Key, Minted, Verifier, key_json


def issued(minted: Minted, verifier: Verifier, now: datetime) -> dict[str, Any]:
    """A key with its new secret."""
    return {**_shown(minted.key, key_json(minted.key, {}, now)), "apiKey": minted.secret}


def views(keys: Sequence[Key], verifier: Verifier, now: datetime) -> list[dict[str, Any]]:
    """Keys without their secrets, and how they were used. Raises Unavailable."""
    uses = verifier.stores.journal.uses([key.id for key in keys])
    return [_shown(key, key_json(key, uses, now)) for key in keys]


def _shown(key: Key, facts: dict[str, Any]) -> dict[str, Any]:
    used = [version["last_used_at"] for version in facts["versions"] if version["last_used_at"]]
    return {
        "keyId": key.id,
        "apiKey": facts["hint"],
        "keyName": key.name,
        "keyType": type_of(key),
        "scopes": facts["scopes"],
        "tenant": key.tenant,
        "createdBy": key.created_by,
        "createdAt": facts["created_at"],
        "modifiedAt": facts["updated_at"] or facts["created_at"],
        "expiresAt": facts["expires_at"],
        "limits": facts["limits"],
        "networks": facts["networks"],
        "status": facts["status"],
        "lastUsedAt": max(used, default=None),
        "rotation": {"state": facts["rotation"], "versions": facts["versions"]},
    }
