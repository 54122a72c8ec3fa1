"""What a `PUT` makes of a credit group: fields that are left out stay, and a null is never dropped.

The key and a rotation are changed by the same call, so here stands which of them is meant.
"""

from __future__ import annotations

from dataclasses import replace

from keyrack.core.errors import Conflict, ValidationFailed
from keyrack.core.events import EventKind
from keyrack.core.fields import refuse
from keyrack.core.rotation import next_number, rotating
from keyrack.core.upstream import Upstream
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.edit import Edit
from keyrack.gateway.admin.rotations import Start
from keyrack.gateway.admin.upstream_fields import ROTATION_FIELDS, UpstreamWish


def updated(edit: Edit, upstream: Upstream, wish: UpstreamWish) -> tuple[Upstream, EventKind]:
    """The group as it was asked to be, with its secrets written, and what that is called.

    Raises Conflict (`key_mismatch`, `rotation_active`) and ValidationFailed (`use_promote_or_abort`,
    `grace_out_of_range`).
    """
    after = _with_facts(edit, upstream, wish)
    if wish.new_key is not None and wish.ends_at is not None:
        if wish.key is not None:
            require_key(edit, upstream, wish.key)
        return start(edit, after, wish.new_key, Start(wish.ends_at)), EventKind.UPSTREAM_ROTATION_STARTED
    if not rotating(upstream.versions, edit.now):
        return _replaced(edit, after, wish.key), EventKind.UPSTREAM_UPDATED
    if wish.cleared:
        _require_promotion(edit, upstream, wish)
        return rotations.promoted(after, now=edit.now), EventKind.UPSTREAM_PROMOTED
    if wish.key is not None and not _widens(upstream, wish):
        raise Conflict(
            "A rotation is under way: promote or abort it before the key is replaced.", code="rotation_active"
        )
    return after, EventKind.UPSTREAM_UPDATED


def start(edit: Edit, upstream: Upstream, new_key: str, how: Start) -> Upstream:
    """The group within a rotation to this key, which is sealed. Raises ValidationFailed, Conflict."""
    if edit.is_live_key(upstream, new_key):
        raise refuse("api_key_new", "This is a key that the group has already.")
    version = rotations.first_version(new_key, next_number(upstream.versions), edit.now)
    after = rotations.started(upstream, version, how, now=edit.now)
    edit.seal(after, version, new_key)
    return after


def require_key(edit: Edit, upstream: Upstream, text: str) -> None:
    """Refuse a text that is not the present key. Raises Conflict (`key_mismatch`)."""
    if not edit.is_key(upstream, rotations.primary(upstream, edit.now), text):
        raise Conflict("`api_key` is not the present key of this group.", code="key_mismatch")


def _with_facts(edit: Edit, upstream: Upstream, wish: UpstreamWish) -> Upstream:
    """The group with other fields; its secrets are bound to other origins only by who knows the key."""
    after = replace(upstream, **wish.facts)
    if _widens(upstream, wish):
        require_key(edit, upstream, wish.key or "")
    if after.origins != upstream.origins:
        edit.seal_anew(upstream, after, wish.key)
    return after


def _widens(upstream: Upstream, wish: UpstreamWish) -> bool:
    return not set(wish.facts.get("origins", ())) <= set(upstream.origins)


def _replaced(edit: Edit, upstream: Upstream, key: str | None) -> Upstream:
    """The group with another key at once, where no other version is live."""
    if key is None or edit.is_key(upstream, rotations.primary(upstream, edit.now), key):
        return upstream
    version = rotations.first_version(key, next_number(upstream.versions), edit.now)
    edit.seal(upstream, version, key)
    return rotations.replaced(upstream, version, now=edit.now)


def _require_promotion(edit: Edit, upstream: Upstream, wish: UpstreamWish) -> None:
    """Within grace, nulls end it only for who names the key that stays."""
    named = wish.key is not None and wish.cleared == set(ROTATION_FIELDS)
    if not named or not edit.is_key(upstream, rotations.primary(upstream, edit.now), wish.key or ""):
        message = "To end a rotation give the new key as `api_key` with both nulls, or promote or abort it."
        raise ValidationFailed(
            {name: [message] for name in sorted(wish.cleared)}, code="use_promote_or_abort"
        )
