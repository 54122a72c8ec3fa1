"""What people ask a key to be, checked field by field and completed by the policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keyrack.core import fields
from keyrack.core.authority import Authority
from keyrack.core.errors import ValidationFailed
from keyrack.core.model import Key
from keyrack.core.policy import Policy
from keyrack.core.upstream import upstream_id
from keyrack.stores.ledger import Draft

UNIQUE = ("tenant", "owner")


@dataclass(frozen=True, slots=True)
class Wish:
    """The key that somebody asks for; its fields are validated when it is minted.

    Give scopes or a preset. Tenant, owner, prefix and environment default to the maker's own.
    """

    name: str
    scopes: Sequence[str] | None = None
    preset: str | None = None
    role: str | None = None
    tenant: str | None = None
    owner: str | None = None
    prefix: str | None = None
    environment: str | None = None
    expires_at: datetime | str | None = None
    networks: Sequence[str] = ()
    limits: Sequence[Any] = ()
    credits: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    unique: str | None = None
    """`tenant` or `owner`: refuse a name that a live key there already bears."""


def drafted(wish: Wish, *, key_id: str, by: Authority, policy: Policy, now: datetime) -> Key:
    """The key of a wish, without a secret yet. Raises ValidationFailed, naming every bad field."""
    maker = by.key
    read = Reader()
    usual = (maker.prefix, maker.environment) if maker else (policy.prefixes[0], "live")
    prefix = usual[0] if wish.prefix is None else wish.prefix
    environment = usual[1] if wish.environment is None else wish.environment
    read.among("prefix", prefix, policy.prefixes)
    read.among("environment", environment, policy.environments)
    read.among("role", wish.role, policy.roles)
    preset = read.among("preset", wish.preset, policy.presets)
    read.among("unique", wish.unique, UNIQUE)
    owner = wish.owner if wish.owner is not None or maker is None else maker.owner
    key = Key(
        id=key_id,
        prefix=prefix,
        environment=environment,
        tenant=by.tenant if wish.tenant is None else read("tenant", fields.name, wish.tenant, "tenant"),
        name=read("name", fields.name, wish.name),
        owner=None if owner is None else read("owner", fields.name, owner, "owner"),
        scopes=read("scopes", _scopes, wish, policy.presets[preset] if preset else ()),
        preset=wish.preset,
        role=wish.role,
        expires_at=read("expires_at", expiry, wish.expires_at, now),
        networks=read("networks", fields.networks, wish.networks),
        limits=read("limits", fields.limits, wish.limits),
        credits=read("credits", credit_group, wish.credits),
        metadata=read("metadata", fields.metadata, wish.metadata),
        created_at=now,
        created_by=by.name,
        versions=(),
        ending="",
    )
    read.finish()
    return key


def validated(changes: Mapping[str, Any], *, policy: Policy, now: datetime) -> dict[str, Any]:
    """The fields of an update, checked; any other field is refused."""
    read = Reader()
    rules: dict[str, Callable[[Any], Any]] = {
        "name": fields.name,
        "owner": lambda value: None if value is None else fields.name(value, "owner"),
        "scopes": fields.scopes,
        "role": lambda value: read.among("role", value, policy.roles),
        "expires_at": lambda value: expiry(value, now),
        "networks": fields.networks,
        "limits": fields.limits,
        "credits": credit_group,
        "metadata": fields.metadata,
    }
    unknown = sorted(set(changes) - set(rules))
    if unknown:
        raise ValidationFailed({name: ["This field cannot be changed."] for name in unknown})
    after = {name: read(name, rules[name], value) for name, value in changes.items()}
    read.finish()
    return after


def credit_group(value: object) -> str | None:
    """A name as groups have them, or None; whether there is one is known when it is written."""
    return None if value is None else fields.name(value, "credits")


def expiry(value: datetime | str | None, now: datetime) -> datetime | None:
    """An aware time in the future, to the second, or None for a key that does not expire."""
    if value is None:
        return None
    expires_at = fields.instant(value, "expires_at").replace(microsecond=0)
    if expires_at <= now:
        raise fields.refuse("expires_at", "Give a time in the future.")
    return expires_at


def require_group(draft: Draft, key: Key) -> None:
    """Refuse a key that names a credit group which its tenant has not."""
    if key.credits is None:
        return
    group = draft.upstream(upstream_id(key.tenant, key.credits))
    if group is None or group.deleted_at is not None:
        raise fields.refuse("credits", "There is no credit group of this name.")


def _scopes(wish: Wish, preset: Sequence[str]) -> tuple[str, ...]:
    if wish.scopes is not None and wish.preset is not None:
        raise fields.refuse("scopes", "Give scopes or a preset, not both.")
    return tuple(preset) if wish.scopes is None else fields.scopes(wish.scopes)


class Reader:
    """Reads fields one after the other and gathers what is wrong with all of them."""

    def __init__(self) -> None:
        self._messages: dict[str, list[str]] = {}

    def __call__(self, name: str, rule: Callable[..., Any], *values: Any) -> Any:
        try:
            return rule(*values)
        except ValidationFailed as error:
            self._messages.update(error.details["fields"])
            return None

    def among(self, name: str, value: str | None, known: Sequence[str] | Mapping[str, Any]) -> str | None:
        if value is not None and not (isinstance(value, str) and value in known):
            listed = ", ".join(known) or "none is configured"
            self._messages[name] = [f"Give one of: {listed}."]
            return None
        return value

    def finish(self) -> None:
        if self._messages:
            raise ValidationFailed(self._messages)
