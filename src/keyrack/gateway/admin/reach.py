"""Whose groups and APIs somebody may look at or change: its own tenant's, or any with `tenants:manage`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from keyrack.core.authority import MANAGE_TENANTS, Authority
from keyrack.core.errors import NotFound, NotHeld
from keyrack.core.peppers import Peppers
from keyrack.core.upstream import Api, Upstream
from keyrack.stores.ledger import Draft
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Listing, Record

MANAGE, READ = "upstreams:manage", "upstreams:read"
CHUNK = 100
T = TypeVar("T", Upstream, Api)
Opens = Callable[[Record, Peppers], T]


def tenant_for(by: Authority, tenant: str | None, *, needs: str) -> str:
    """The tenant that is meant: the caller's own unless another is named. Raises NotHeld."""
    by.require(needs)
    wanted = by.tenant if tenant is None else tenant
    if not by.reaches(wanted):
        raise NotHeld([MANAGE_TENANTS])
    return wanted


def require_tenant(draft: Draft, tenant_id: str) -> None:
    """Refuse to make something for a tenant that there is not. Raises NotFound."""
    tenant = draft.tenant(tenant_id)
    if tenant is None or tenant.deleted_at is not None:
        raise NotFound("There is no tenant of this id.")


def page(stores: Stores, listing: Listing, opens: Opens[T]) -> tuple[list[T], int | None]:
    """A page of what was not deleted, in the order in which it was made, and the cursor of the next one."""
    found = list(islice(everything(stores, listing, opens), listing.most + 1))
    values = [value for _, value in found[: listing.most]]
    return values, found[listing.most - 1][0] if len(found) > listing.most else None


def everything(stores: Stores, listing: Listing, opens: Opens[T]) -> Iterator[tuple[int, T]]:
    """All of a kind from there on that was not deleted, each with its place in the list."""
    after = listing.after
    while records := stores.keys.records(replace(listing, after=after, most=CHUNK)):
        opened = ((record.serial, opens(record, stores.peppers)) for record in records)
        yield from ((serial, value) for serial, value in opened if value.deleted_at is None)
        after = records[-1].serial
