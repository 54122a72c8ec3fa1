"""What becomes of credit groups by themselves: grace runs out, keys are past bringing back, tenants end.

Sending never waits for this: an old key is no candidate from its end on. Any number of processes may do it.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from keyrack.core.authority import Authority
from keyrack.core.events import EventKind
from keyrack.core.model import Tenant
from keyrack.core.upstream import Upstream, UpstreamVersion
from keyrack.gateway.admin import rotations
from keyrack.gateway.admin.edit import Edit
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.replica import Replica
from keyrack.vault.secrets import Vault

TIDIER = "gateway"
NOTHING_OPENED = Vault(None)
"""To erase a secret, nobody opens it."""

log = logging.getLogger("keyrack.gateway.admin.tidying")


def tidy(stores: Stores, replica: Replica, now: datetime, *, settled: timedelta = timedelta(0)) -> int:
    """Clean up rotations that ran out, once, and erase keys a day after their end; how many groups changed.

    What is due is looked for in memory; the store is asked about nothing else. With `settled`, what ran out
    more recently waits, so that the last sends are counted before. Raises Unavailable.
    """
    if stores.fixed:
        return 0
    due = [one for one in list(replica.upstreams.values()) if _is_due(one, replica, now - settled)]
    return sum(stores.ledger.commit(_Tidying(one, now)) for one in due)


class _Tidying:
    """The change of one group, as the commit finds it: somebody may have come before."""

    def __init__(self, known: Upstream, now: datetime):
        self._id = known.id
        self._now = now.astimezone(UTC).replace(microsecond=0)

    def __call__(self, draft: Draft) -> bool:
        upstream = draft.upstream(self._id)
        if upstream is None:
            return False
        events = len(draft.entries)
        edit = Edit(draft, NOTHING_OPENED, Authority.service(TIDIER, ()), self._now)
        if _is_left(upstream, draft.tenant(upstream.tenant)):
            edit.write(edit.ended(upstream), EventKind.UPSTREAM_DELETED, {})
            return True
        if rotations.is_expired(upstream, self._now):
            _report_unreadable(upstream)
            upstream = edit.clean(upstream)
        edit.erase(upstream, *(one.number for one in _ended(upstream, self._now)))
        return len(draft.entries) > events


def _is_due(upstream: Upstream, replica: Replica, now: datetime) -> bool:
    is_left = _is_left(upstream, replica.tenants.get(upstream.tenant))
    if is_left or rotations.is_expired(upstream, now):
        return True
    secrets = (replica.upstream_secrets.get(upstream.secret_id(one.number)) for one in _ended(upstream, now))
    return any(secret is not None and secret.ciphertext is not None for secret in secrets)


def _is_left(upstream: Upstream, tenant: Tenant | None) -> bool:
    """Whether the tenant of a group was deleted, and the group was not."""
    return tenant is not None and tenant.deleted_at is not None and upstream.deleted_at is None


def _ended(upstream: Upstream, now: datetime) -> list[UpstreamVersion]:
    return [one for one in upstream.versions if not rotations.is_kept(one, now)]


def _report_unreadable(upstream: Upstream) -> None:
    for version in upstream.versions:
        if version.has_unreadable_end:
            log.error("the end of version %d of %s cannot be read", version.number, upstream.id)
