"""Who asks for a change, as of its commit: a request can come there long after its key was proved."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address

from keyrack.core import rotation
from keyrack.core import scopes as algebra
from keyrack.core.authority import Authority
from keyrack.core.checks import is_blocked, is_in_service
from keyrack.core.errors import NotHeld
from keyrack.core.model import Key, Status, Tenant
from keyrack.stores.ledger import Draft


def as_now(draft: Draft, by: Authority, now: datetime, *, needs: str) -> Authority:
    """The giver as it is at the commit, where it must hold `needs`. Raises NotHeld, SessionPresented.

    Since it was proved, which a slow request can make long ago, its key may have ended, been narrowed or
    given another role, its tenant suspended, or its network taken from it or blocked.
    """
    by.refuse_session()
    if by.key is None or by.secret is None:
        return by
    holder, tenant = draft.key(by.key.id), draft.tenant(by.tenant)
    if holder is None or not _works(holder, by.secret.number, now):
        raise NotHeld([needs])
    if tenant is None or not is_in_service(tenant, "workspace", now):
        raise NotHeld([needs])
    if holder.role != by.key.role or not _may_come_from(by.address, holder, tenant, now):
        raise NotHeld([needs])
    scopes = algebra.meet(by.scopes, holder.scopes)
    giver = replace(by, key=holder, scopes=scopes, grants=scopes)
    giver.require(needs)
    return giver


def _works(key: Key, number: int, now: datetime) -> bool:
    """Whether this version of a key proves it, and the key is of use."""
    expired = key.expires_at is not None and key.expires_at <= now
    live = any(version.number == number for version in rotation.live(key.versions, now))
    return live and key.status is Status.ACTIVE and not expired


def _may_come_from(address: str | None, key: Key, tenant: Tenant, now: datetime) -> bool:
    """Whether a key may be used from there; a giver that names no address was not asked for one."""
    try:
        here = None if address is None else ip_address(address)
    except ValueError:
        return False
    if here is None:
        return True
    inside = not key.networks or any(here in network for network in key.networks)
    return inside and not is_blocked(tenant, here, now)
