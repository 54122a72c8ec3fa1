"""Key management over HTTP. Each operation is one call of `Keys`; the guard forbids storing any answer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path

from examples.log_lake.bodies import KeyChange, NewKey, Question, Rotation
from examples.log_lake.reading import body_of
from examples.log_lake.routes.context import By, Cursor, Here, PageSize
from keyrack import Listing

KeyId = Annotated[str, Path(alias="keyId")]


def create_key(service: Here, by: By, body: Annotated[NewKey, Depends(body_of(NewKey))]) -> dict[str, Any]:
    """Make a key; its secret is shown here and never again."""
    return service.keys.create(body.given(), by=by)


def list_keys(
    service: Here, by: By, cursor: Cursor = 0, page_size: PageSize = 50, tenant: str | None = None
) -> dict[str, Any]:
    """The keys of the caller's tenant; holders of `tenants:manage` may name another."""
    return service.keys.find(Listing(after=cursor, most=page_size, tenant=tenant or by.tenant), by=by)


def get_key(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """One key, its secret masked."""
    return service.keys.get(key_id, by=by)


def change_key(
    service: Here, by: By, key_id: KeyId, body: Annotated[KeyChange, Depends(body_of(KeyChange))]
) -> dict[str, Any]:
    """Change what may be changed about a key."""
    return service.keys.change(key_id, body.given(), by=by)


def revoke_key(service: Here, by: By, key_id: KeyId, wait: bool = False) -> dict[str, Any]:
    """End a key for good; with `wait`, answer when no node can accept it any more."""
    return service.keys.revoke(key_id, by=by, wait=wait)


def rotate_key(
    service: Here,
    by: By,
    key_id: KeyId,
    body: Annotated[Rotation, Depends(body_of(Rotation, optional=True))],
) -> dict[str, Any]:
    """Give a key a new secret, which is shown here and never again."""
    return service.keys.rotate(key_id, body.grace_seconds, by=by)


def promote_key(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """End the grace of the older secrets."""
    return service.keys.promote(key_id, by=by)


def abort_rotation(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """Drop the newest secret."""
    return service.keys.abort(key_id, by=by)


def undo_rotation(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """Bring the previous secret back."""
    return service.keys.undo(key_id, by=by)


def disable_key(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """Stop a key until it is enabled."""
    return service.keys.disable(key_id, by=by)


def enable_key(service: Here, by: By, key_id: KeyId) -> dict[str, Any]:
    """Let a disabled key work again."""
    return service.keys.enable(key_id, by=by)


def validate_key(
    service: Here, by: By, body: Annotated[Question, Depends(body_of(Question))]
) -> dict[str, Any]:
    """Whether a text is a key of the caller's tenant that works."""
    return {"valid": service.keys.is_valid(body.api_key, tenant=by.tenant)}


HANDLERS = (
    create_key,
    list_keys,
    get_key,
    change_key,
    revoke_key,
    rotate_key,
    promote_key,
    abort_rotation,
    undo_rotation,
    disable_key,
    enable_key,
    validate_key,
)
