"""`/v1/keys`: mint, look, change, rotate and take back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from keyrack.core import rotation
from keyrack.core.authority import MANAGE_KEYS, READ_KEYS
from keyrack.core.model import Key
from keyrack.idempotency import Once
from keyrack.key_changes import Minted
from keyrack.presenting import page_json
from keyrack.server.bodies import KeysQuery, MintBody, NoBody, PatchBody, RevokeBody, RotationBody
from keyrack.server.dependencies import By, Engine, IfMatch, OnceHeader, RawBody, Reader, Rotator
from keyrack.server.views import KeyView, MintedView, Page
from keyrack.stores.protocols import Listing
from keyrack.wishes import Wish

router = APIRouter(prefix="/v1/keys", tags=["keys"])
KeyId = Annotated[str, Path(description="The key's id.", json_schema_extra={"pattern": "^[0-9A-Za-z]{12}$"})]
READING = {"x-required-scopes": [READ_KEYS]}
"""`keys:manage` does as well."""
Nothing = Annotated[NoBody | None, Body()]
REPLAYED: dict[int | str, dict[str, Any]] = {
    200: {"model": MintedView, "description": "Done before with this Idempotency-Key; `secret` is null"}
}

NO_TENANT: dict[int | str, dict[str, Any]] = {404: {"description": "There is no tenant of this id"}}


@router.post(
    "", status_code=201, response_model=MintedView, responses=REPLAYED | NO_TENANT, summary="Mint a key"
)
def mint(
    wish: MintBody, response: Response, by: By, engine: Engine, once: OnceHeader, raw: RawBody
) -> dict[str, Any]:
    """The only answer in which the secret is seen."""
    minted = engine.issuer.mint(Wish(**wish.model_dump()), by=by, once=_once(once, raw))
    return _minted(minted, response, engine)


@router.get("", response_model=Page[KeyView], summary="List keys", openapi_extra=READING)
def find(by: Reader, engine: Engine, query: Annotated[KeysQuery, Query()]) -> dict[str, Any]:
    """In the order in which they were made."""
    listing = Listing(after=query.after, most=query.limit, tenant=query.tenant, owner=query.owner)
    keys, following = engine.issuer.find(listing, by=by)
    return page_json(engine.present(keys), following)


@router.get("/{key_id}", response_model=KeyView, summary="Look at a key", openapi_extra=READING)
def get(key_id: KeyId, response: Response, by: Reader, engine: Engine) -> dict[str, Any]:
    """With each version of its secret and when that was last used."""
    return _shown(engine.issuer.get(key_id, by=by), response, engine)


@router.patch("/{key_id}", response_model=KeyView, summary="Change a key")
def update(
    key_id: KeyId, changes: PatchBody, response: Response, by: By, engine: Engine, if_match: IfMatch
) -> dict[str, Any]:
    """Fields that are left out stay; null clears."""
    given = changes.model_dump(exclude_unset=True)
    return _changed(engine.issuer.update(key_id, given, by=by, if_match=if_match), response, engine)


@router.post("/{key_id}/disable", response_model=KeyView, summary="Disable a key")
def disable(
    key_id: KeyId, response: Response, by: By, engine: Engine, if_match: IfMatch, _: Nothing = None
) -> dict[str, Any]:
    """Until it is enabled again."""
    return _changed(engine.issuer.disable(key_id, by=by, if_match=if_match), response, engine)


@router.post("/{key_id}/enable", response_model=KeyView, summary="Enable a key")
def enable(
    key_id: KeyId, response: Response, by: By, engine: Engine, if_match: IfMatch, _: Nothing = None
) -> dict[str, Any]:
    """Let a disabled key work again."""
    return _changed(engine.issuer.enable(key_id, by=by, if_match=if_match), response, engine)


@router.post("/{key_id}/revoke", response_model=KeyView, summary="Revoke a key for good")
def revoke(
    key_id: KeyId,
    response: Response,
    by: By,
    engine: Engine,
    wish: Annotated[RevokeBody | None, Body()] = None,
) -> dict[str, Any]:
    """Idempotent. With `wait` it answers once no node can accept the key any more."""
    wish = wish or RevokeBody()
    revoked = engine.issuer.revoke(key_id, by=by, reason=wish.reason, wait=wish.wait)
    return _changed(revoked, response, engine)


@router.post(
    "/{key_id}/rotation",
    status_code=201,
    response_model=MintedView,
    responses=REPLAYED,
    summary="Rotate a secret",
    openapi_extra={"x-required-scopes": [MANAGE_KEYS]},
)
def rotate(
    key_id: KeyId,
    response: Response,
    by: Rotator,
    engine: Engine,
    once: OnceHeader,
    raw: RawBody,
    if_match: IfMatch,
    wish: Annotated[RotationBody | None, Body()] = None,
) -> dict[str, Any]:
    """A new secret under the same id; the others keep working for the grace. `self:rotate` does for one's own
    key, with its newest secret, without `force` and `compromised`."""
    wish = wish or RotationBody()
    minted = engine.issuer.rotate(
        key_id,
        by=by,
        grace=_grace(wish),
        compromised=wish.compromised,
        force=wish.force,
        once=_once(once, raw),
        if_match=if_match,
    )
    return _minted(minted, response, engine)


@router.get("/{key_id}/rotation", response_model=KeyView, summary="Look at a rotation", openapi_extra=READING)
def rotation_state(key_id: KeyId, response: Response, by: Reader, engine: Engine) -> dict[str, Any]:
    """The key, with the state of its rotation and of each version."""
    return _shown(engine.issuer.get(key_id, by=by), response, engine)


@router.post("/{key_id}/rotation/promote", response_model=KeyView, summary="End grace early")
def promote(
    key_id: KeyId, response: Response, by: By, engine: Engine, if_match: IfMatch, _: Nothing = None
) -> dict[str, Any]:
    """Only the primary secret stays."""
    return _changed(engine.issuer.promote(key_id, by=by, if_match=if_match), response, engine)


@router.post("/{key_id}/rotation/abort", response_model=KeyView, summary="Drop the new secret")
def abort(
    key_id: KeyId, response: Response, by: By, engine: Engine, if_match: IfMatch, _: Nothing = None
) -> dict[str, Any]:
    """The one before it is the primary again."""
    return _changed(engine.issuer.abort(key_id, by=by, if_match=if_match), response, engine)


@router.post("/{key_id}/rotation/undo", response_model=KeyView, summary="Bring the old secret back")
def undo(
    key_id: KeyId, response: Response, by: By, engine: Engine, if_match: IfMatch, _: Nothing = None
) -> dict[str, Any]:
    """Within a day of its end."""
    return _changed(engine.issuer.undo(key_id, by=by, if_match=if_match), response, engine)


def _grace(wish: RotationBody) -> timedelta:
    if wish.grace_seconds is not None:
        return timedelta(seconds=wish.grace_seconds)
    return timedelta(0) if wish.compromised else rotation.DEFAULT_GRACE


def _once(header: str | None, raw: bytes) -> Once | None:
    return None if header is None else Once(header, raw)


def _minted(minted: Minted, response: Response, engine: Engine) -> dict[str, Any]:
    response.headers["Cache-Control"] = "no-store"
    if minted.secret is None:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    return {"key": _changed(minted.key, response, engine), "secret": minted.secret}


def _changed(key: Key, response: Response, engine: Engine) -> dict[str, Any]:
    response.headers["ETag"] = f'"{key.revision}"'
    return engine.present_change(key)


def _shown(key: Key, response: Response, engine: Engine) -> dict[str, Any]:
    response.headers["ETag"] = f'"{key.revision}"'
    return engine.present([key])[0]
