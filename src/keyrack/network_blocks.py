"""Block networks for all keys of a tenant, and lift that again: each change with its event.

A block refuses what a key would be allowed otherwise, after it was proved. It is a part of the tenant's
record, so decisions know it as soon as any other change of that.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from keyrack.core import fields
from keyrack.core.authority import MANAGE_TENANTS, Authority
from keyrack.core.checks import stands
from keyrack.core.errors import Conflict, NotFound
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Block, Tenant
from keyrack.core.records import write_time
from keyrack.givers import as_now
from keyrack.key_changes import Spread, require_changeable
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind
from keyrack.stores.sealing import open_tenant
from keyrack.wishes import Reader, expiry

MANAGE_BLOCKS = "blocks:manage"
MAX_BLOCKS = 100
"""Of one tenant: each request of its keys is compared with all of them."""


class NetworkBlocks:
    """The block lists of tenants, for holders of `blocks:manage`: of their own tenant, and with
    `tenants:manage` of any. A change returns once it is durable."""

    def __init__(self, stores: Stores, *, spread: Spread | None = None):
        self._stores = stores
        self._spread = spread or (lambda number, wait: None)

    def add(
        self,
        cidr: str,
        *,
        by: Authority,
        reason: str | None = None,
        expires_at: datetime | str | None = None,
        tenant: str | None = None,
    ) -> Block:
        """Refuse a network to all keys of a tenant, until that time or for good.

        Raises ValidationFailed, NotFound, NotHeld, Conflict (`too_many_blocks`).
        """
        block = self._drawn(cidr, reason, expires_at)

        def added(holder: Tenant) -> Tenant:
            standing = self._standing(holder)
            if len(standing) >= MAX_BLOCKS:
                raise Conflict(
                    f"A tenant has at most {MAX_BLOCKS} blocks; lift some, or block wider networks.",
                    code="too_many_blocks",
                )
            return replace(holder, blocks=(*standing, block))

        times = {} if block.expires_at is None else {"expires_at": write_time(block.expires_at)}
        facts = {"id": block.id, "cidr": str(block.network), "reason": block.reason, **times}
        self._change(tenant, added, kind=EventKind.NETWORK_BLOCKED, by=by, facts=facts)
        return block

    def lift(self, block_id: str, *, by: Authority, tenant: str | None = None) -> None:
        """Let the keys of a tenant be used from a network again. Raises NotFound, NotHeld."""
        facts: dict[str, Any] = {"id": block_id}

        def lifted(holder: Tenant) -> Tenant:
            standing = self._standing(holder)
            found = next((block for block in standing if block.id == block_id), None)
            if found is None:
                raise NotFound("There is no block of this id.")
            facts["cidr"] = str(found.network)
            return replace(holder, blocks=tuple(block for block in standing if block is not found))

        self._change(tenant, lifted, kind=EventKind.NETWORK_UNBLOCKED, by=by, facts=facts)

    def all(self, *, by: Authority, tenant: str | None = None) -> tuple[Block, ...]:
        """The blocks of a tenant that stand, in the order in which they were made."""
        record = self._stores.keys.record(Kind.TENANT, self._reached(by, tenant))
        return self._standing(
            _existing(None if record is None else open_tenant(record, self._stores.peppers))
        )

    def _change(
        self,
        tenant: str | None,
        changed: Callable[[Tenant], Tenant],
        *,
        kind: EventKind,
        by: Authority,
        facts: Mapping[str, Any],
    ) -> None:
        tenant_id = self._reached(by, tenant)
        require_changeable(self._stores)

        def change(draft: Draft) -> Tenant:
            self._reached(as_now(draft, by, self._now(), needs=MANAGE_BLOCKS), tenant)
            after = replace(changed(_existing(draft.tenant(tenant_id))), updated_at=self._now())
            present = {name: value for name, value in facts.items() if value is not None}
            event = Event(
                kind, self._now(), by.name, data=present, request_id=by.request_id, address=by.address
            )
            return draft.write_tenant(after, event)

        written = self._stores.ledger.commit(change, urgent=kind is EventKind.NETWORK_BLOCKED)
        self._spread(written.revision, False)

    def _drawn(self, cidr: str, reason: str | None, expires_at: datetime | str | None) -> Block:
        read = Reader()
        block = Block(
            id=secrets.token_hex(8),
            network=read("cidr", fields.network, cidr, "cidr"),
            created_at=self._now(),
            reason=None if reason is None else read("reason", fields.reason, reason),
            expires_at=read("expires_at", expiry, expires_at, self._now()),
        )
        read.finish()
        return block

    def _reached(self, by: Authority, tenant: str | None) -> str:
        """The tenant that is meant. Raises NotHeld where it is not in the caller's reach."""
        by.require(MANAGE_BLOCKS)
        tenant_id = by.tenant if tenant is None else tenant
        if not by.reaches(tenant_id):
            by.require(MANAGE_TENANTS)
        return tenant_id

    def _standing(self, tenant: Tenant) -> tuple[Block, ...]:
        return tuple(block for block in tenant.blocks if stands(block, self._now()))

    def _now(self) -> datetime:
        """The store's time to the second: what is written is compared with what is read back."""
        return datetime.fromtimestamp(int(self._stores.clock()), UTC)


def _existing(tenant: Tenant | None) -> Tenant:
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound("There is no tenant of this id.")
    return tenant
