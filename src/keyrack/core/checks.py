"""The rules of a decision on a proved key: an ordered tuple of pure functions; the first refusal wins.

A rule knows only what it is handed. Most keys cannot be refused by most rules (they have no expiry,
no networks …), so `rules_for` picks, once for each version, those that can apply to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from keyrack.core import scopes as algebra
from keyrack.core.model import (
    Access,
    Address,
    Allowed,
    Block,
    Decision,
    Denied,
    Key,
    Limit,
    Reason,
    Secret,
    Status,
    Tenant,
    VersionState,
)
from keyrack.core.rotation import RECOGNISED_FOR, is_live

MAX_PASSED = 16
"""How many accesses a version remembers; a service has an access for each route and client address."""


class Charge(NamedTuple):
    """A limit that each passing request is charged to, and the bucket that it is counted in."""

    bucket: str
    limit: Limit


@dataclass(frozen=True, slots=True)
class Refused:
    """A text that proves no version of any key, or none at all."""

    answer: Denied
    free: bool = False

    def check(self, access: Access, at: float) -> Decision:
        """The refusal, whatever is asked."""
        return self.answer


@dataclass(frozen=True, slots=True)
class Proved:
    """One version of a key, and all that is known of it before anything is asked: see `prepare`."""

    key: Key
    tenant: Tenant | None
    """None when the tenant's record is missing: unknown never means not suspended."""
    prefixes: tuple[str, ...]
    """Those that the store's policy accepts, where an access names none."""
    answer: Allowed
    """What stands unless a rule refuses. Its scopes are the key's, met with every ceiling."""
    scopes: frozenset[str]
    """Those of the answer, to be found quickly."""
    rules: tuple[Rule, ...]
    """Those that can refuse this version."""
    charges: tuple[Charge, ...]
    aged: bool
    """Whether its digest is under another pepper than the first."""
    free: bool
    """Whether its answer entails nothing more: no limit and no credits are charged, no digest is renewed."""
    timed: tuple[Rule, ...] = field(init=False, repr=False, compare=False)
    """The rules whose answer to the same access may be another one later."""
    passed: dict[int, Access] = field(init=False, default_factory=dict, repr=False, compare=False)
    """Accesses that no rule refused, by identity: time alone can refuse them now. A copy starts anew."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "timed", _timed(self.rules))

    def check(self, access: Access, at: float) -> Decision:
        """The refusal of the first rule that refuses, or the answer that stands when none does."""
        known = self.passed.get(id(access)) is access
        for rule in self.timed if known else self.rules:
            denied = rule(self, access, at)
            if denied is not None:
                return denied
        if not known:
            self._remember(access)
        return self.answer

    def _remember(self, access: Access) -> None:
        if len(self.passed) >= MAX_PASSED:
            self.passed.clear()
        self.passed[id(access)] = access


def charged(proved: Proved, access: Access) -> tuple[Charge, ...]:
    """All that a passing request is charged to: limits of the key and its tenant, and those of the access."""
    if not access.limits:
        return proved.charges
    here = (Charge(f"access/{proved.key.id}/{limit.name}", limit) for limit in access.limits)
    return (*proved.charges, *here)


Rule = Callable[[Proved, Access, float], Denied | None]
"""What was proved, what is asked of it, and the time: Unix seconds by the store's clock."""


def not_forgotten(proved: Proved, access: Access, at: float) -> Denied | None:
    """A version that ended 30 days ago is no longer told from an unknown text."""
    not_after = proved.answer.secret.not_after
    if not_after is None or _time(at) < not_after + RECOGNISED_FOR:
        return None
    return Denied(Reason.UNKNOWN)


def not_revoked(proved: Proved, access: Access, at: float) -> Denied | None:
    """Revocation is final."""
    return _refuse(proved, Reason.REVOKED) if proved.key.status is Status.REVOKED else None


def not_disabled(proved: Proved, access: Access, at: float) -> Denied | None:
    """Disabled keys can be enabled again."""
    return _refuse(proved, Reason.DISABLED) if proved.key.status is Status.DISABLED else None


def not_expired(proved: Proved, access: Access, at: float) -> Denied | None:
    """A key works until the instant of its expiry."""
    expires_at = proved.key.expires_at
    return _refuse(proved, Reason.EXPIRED) if expires_at and _time(at) >= expires_at else None


def not_rotated_out(proved: Proved, access: Access, at: float) -> Denied | None:
    """A secret works while it is live, the primary or within its grace."""
    return None if is_live(proved.answer.secret, _time(at)) else _refuse(proved, Reason.RETIRED)


def in_environment(proved: Proved, access: Access, at: float) -> Denied | None:
    """A key of another environment or prefix is as good as none; this tells the holder nothing."""
    key = proved.key
    prefixes = access.prefixes or proved.prefixes
    if key.environment in access.environments and key.prefix in prefixes:
        return None
    return Denied(Reason.UNKNOWN)


def in_tenant(proved: Proved, access: Access, at: float) -> Denied | None:
    """The tenant comes from the key; a request that names another is refused."""
    named = access.tenant
    return None if named is None or named == proved.key.tenant else _refuse(proved, Reason.TENANT)


def tenant_in_service(proved: Proved, access: Access, at: float) -> Denied | None:
    """A tenant is suspended by service, as a whole (`workspace`), or outside its dates."""
    tenant = proved.tenant
    if tenant is None:
        return _refuse(proved, Reason.STORE_DOWN)
    now = _time(at)
    for service in ("workspace", access.service):
        if service is not None and not is_in_service(tenant, service, now):
            return _refuse(proved, Reason.SUSPENDED, service=service)
    return None


def is_in_service(tenant: Tenant, service: str, now: datetime) -> bool:
    """Whether a tenant stands at that time, and this service of it was not suspended."""
    started = tenant.starts_at is None or now >= tenant.starts_at
    ended = tenant.ends_at is not None and now >= tenant.ends_at
    return started and not ended and tenant.deleted_at is None and service not in tenant.suspended


def not_blocked(proved: Proved, access: Access, at: float) -> Denied | None:
    """No key of a tenant is used from a network that the tenant blocked; an unknown address is in none."""
    tenant, address = proved.tenant, access.address
    if tenant is None or address is None or not is_blocked(tenant, address, _time(at)):
        return None
    return _refuse(proved, Reason.NETWORK)


def is_blocked(tenant: Tenant, address: Address, now: datetime) -> bool:
    """Whether a tenant blocks this address at that time."""
    return any(address in block.network and stands(block, now) for block in tenant.blocks)


def stands(block: Block, now: datetime) -> bool:
    """Whether a block has not expired; it is never of use again once it has."""
    return block.expires_at is None or now < block.expires_at


def from_network(proved: Proved, access: Access, at: float) -> Denied | None:
    """A key with networks is used from them only; an unknown address is outside all of them."""
    networks, address = proved.key.networks, access.address
    if not networks or (address is not None and any(address in network for network in networks)):
        return None
    return _refuse(proved, Reason.NETWORK)


def holds_scopes(proved: Proved, access: Access, at: float) -> Denied | None:
    """Every scope that the access asks for must be covered."""
    for wanted in access.scopes:
        if wanted not in proved.scopes:
            return _missing(proved, access.scopes)
    return None


CHECKS: tuple[Rule, ...] = (
    not_forgotten,
    not_revoked,
    not_disabled,
    not_expired,
    not_rotated_out,
    in_environment,
    in_tenant,
    tenant_in_service,
    not_blocked,
    from_network,
    holds_scopes,
)

_CAN_REFUSE: dict[Rule, Callable[[Key, Secret, Tenant | None], bool]] = {
    not_forgotten: lambda key, secret, tenant: secret.not_after is not None,
    not_revoked: lambda key, secret, tenant: key.status is Status.REVOKED,
    not_disabled: lambda key, secret, tenant: key.status is Status.DISABLED,
    not_expired: lambda key, secret, tenant: key.expires_at is not None,
    not_rotated_out: lambda key, secret, tenant: not _is_undated(secret),
    tenant_in_service: lambda key, secret, tenant: tenant is None or _is_restricted(tenant),
    not_blocked: lambda key, secret, tenant: tenant is not None and bool(tenant.blocks),
    from_network: lambda key, secret, tenant: bool(key.networks),
}


_TIMELESS = frozenset({not_revoked, not_disabled, in_environment, in_tenant, from_network, holds_scopes})
"""What they say of a key and an access they always say; every other rule is asked each time."""


def rules_for(key: Key, secret: Secret, tenant: Tenant | None) -> tuple[Rule, ...]:
    """The rules that can refuse this version of a key, in their order."""
    return tuple(rule for rule in CHECKS if rule not in _CAN_REFUSE or _CAN_REFUSE[rule](key, secret, tenant))


@lru_cache(maxsize=1000)  # there are few sets of rules, and many keys
def _timed(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule not in _TIMELESS)


def _missing(proved: Proved, wanted: tuple[str, ...]) -> Denied | None:
    missing = algebra.missing(proved.answer.scopes, wanted)
    if not missing:
        return None
    return _refuse(proved, Reason.SCOPE, required_scopes=list(wanted), missing_scopes=list(missing))


def _is_undated(secret: Secret) -> bool:
    return secret.state is VersionState.LIVE and secret.not_after is None


def _is_restricted(tenant: Tenant) -> bool:
    return bool(tenant.suspended or tenant.starts_at or tenant.ends_at or tenant.deleted_at)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _refuse(proved: Proved, reason: Reason, **details: object) -> Denied:
    return Denied(reason, proved.key, proved.answer.secret, details)
