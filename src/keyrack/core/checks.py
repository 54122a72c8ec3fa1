"""The rules of a decision on a proved key: an ordered tuple of pure functions; the first refusal wins.

A rule knows only what it is handed. Most keys cannot be refused by most rules (they have no expiry,
no networks …), so `rules_for` picks, once for each record, those that can apply to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from keyrack.core import scopes as algebra
from keyrack.core.model import Access, Denied, Key, Reason, Secret, Status, Tenant, VersionState
from keyrack.core.rotation import RECOGNISED_FOR, is_live


@dataclass(slots=True)  # not frozen: one is made for every decision, and frozen ones take four times as long
class Question:
    """One proved credential, what is asked of it, and everything a rule may look at. Nobody changes it."""

    key: Key
    secret: Secret
    access: Access
    at: float
    """Unix seconds, by the store's time."""
    tenant: Tenant | None
    """None when the tenant's record is missing: unknown never means not suspended."""
    scopes: tuple[str, ...]
    """The key's scopes, met with the ceilings of its role and of the guard."""
    prefixes: tuple[str, ...]
    """Those that the store's policy accepts, where the access names none."""

    @property
    def now(self) -> datetime:
        """The time, made when a rule asks for it: most keys have no rule that does."""
        return datetime.fromtimestamp(self.at, UTC)


Rule = Callable[[Question], Denied | None]


def not_forgotten(question: Question) -> Denied | None:
    """A version that ended 30 days ago is no longer told from an unknown text."""
    not_after = question.secret.not_after
    if not_after is None or question.now < not_after + RECOGNISED_FOR:
        return None
    return Denied(Reason.UNKNOWN)


def not_revoked(question: Question) -> Denied | None:
    """Revocation is final."""
    return _refuse(question, Reason.REVOKED) if question.key.status is Status.REVOKED else None


def not_disabled(question: Question) -> Denied | None:
    """Disabled keys can be enabled again."""
    return _refuse(question, Reason.DISABLED) if question.key.status is Status.DISABLED else None


def not_expired(question: Question) -> Denied | None:
    """A key works until the instant of its expiry."""
    expires_at = question.key.expires_at
    return _refuse(question, Reason.EXPIRED) if expires_at and question.now >= expires_at else None


def not_rotated_out(question: Question) -> Denied | None:
    """A secret works while it is live, the primary or within its grace."""
    return None if is_live(question.secret, question.now) else _refuse(question, Reason.RETIRED)


def in_environment(question: Question) -> Denied | None:
    """A key of another environment or prefix is as good as none; this tells the holder nothing."""
    key, access = question.key, question.access
    prefixes = access.prefixes or question.prefixes
    if key.environment in access.environments and key.prefix in prefixes:
        return None
    return Denied(Reason.UNKNOWN)


def in_tenant(question: Question) -> Denied | None:
    """The tenant comes from the key; a request that names another is refused."""
    named = question.access.tenant
    return None if named is None or named == question.key.tenant else _refuse(question, Reason.TENANT)


def tenant_in_service(question: Question) -> Denied | None:
    """A tenant is suspended by service, as a whole (`workspace`), or outside its dates."""
    tenant = question.tenant
    if tenant is None:
        return _refuse(question, Reason.STORE_DOWN)
    if tenant.deleted_at or tenant.starts_at or tenant.ends_at or tenant.suspended:
        return _suspended(question, tenant)
    return None


def from_network(question: Question) -> Denied | None:
    """A key with networks is used from them only; an unknown address is outside all of them."""
    networks, address = question.key.networks, question.access.address
    if not networks or (address is not None and any(address in network for network in networks)):
        return None
    return _refuse(question, Reason.NETWORK)


def holds_scopes(question: Question) -> Denied | None:
    """Every scope that the access asks for must be covered."""
    for wanted in question.access.scopes:
        if wanted not in question.scopes:
            break
    else:
        return None
    missing = algebra.missing(question.scopes, question.access.scopes)
    if not missing:
        return None
    return _refuse(
        question, Reason.SCOPE, required_scopes=list(question.access.scopes), missing_scopes=list(missing)
    )


CHECKS: tuple[Rule, ...] = (
    not_forgotten,
    not_revoked,
    not_disabled,
    not_expired,
    not_rotated_out,
    in_environment,
    in_tenant,
    tenant_in_service,
    from_network,
    holds_scopes,
)

_CAN_REFUSE: dict[Rule, Callable[[Key], bool]] = {
    not_forgotten: lambda key: any(version.not_after for version in key.versions),
    not_revoked: lambda key: key.status is Status.REVOKED,
    not_disabled: lambda key: key.status is Status.DISABLED,
    not_expired: lambda key: key.expires_at is not None,
    not_rotated_out: lambda key: not all(_is_undated(version) for version in key.versions),
    from_network: lambda key: bool(key.networks),
}


def rules_for(key: Key) -> tuple[Rule, ...]:
    """The rules that can refuse this key, in their order."""
    return tuple(rule for rule in CHECKS if rule not in _CAN_REFUSE or _CAN_REFUSE[rule](key))


def first_refusal(rules: tuple[Rule, ...], question: Question) -> Denied | None:
    """The answer of the first rule that refuses, or None when all of them let it pass."""
    for rule in rules:
        denied = rule(question)
        if denied is not None:
            return denied
    return None


def _suspended(question: Question, tenant: Tenant) -> Denied | None:
    now = question.now
    started = tenant.starts_at is None or now >= tenant.starts_at
    ended = tenant.ends_at is not None and now >= tenant.ends_at
    if tenant.deleted_at or ended or not started:
        return _refuse(question, Reason.SUSPENDED, service="workspace")
    for service in ("workspace", question.access.service):
        if service in tenant.suspended:
            return _refuse(question, Reason.SUSPENDED, service=service)
    return None


def _is_undated(version: Secret) -> bool:
    return version.state is VersionState.LIVE and version.not_after is None


def _refuse(question: Question, reason: Reason, **details: object) -> Denied:
    return Denied(reason, question.key, question.secret, details)
