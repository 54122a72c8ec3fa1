"""All that a store knows of one tenant, as JSON objects of the HTTP API: no secret and no digest among it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.events import open_known
from keyrack.core.model import Tenant
from keyrack.gateway.admin.balances import READ_CREDITS
from keyrack.gateway.admin.presenting import api_json, balance_json, upstream_json
from keyrack.gateway.admin.reach import READ, everything
from keyrack.gateway.monitoring.tally import Tally
from keyrack.presenting import block_json, event_json, key_json, refusal_json, tenant_json
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt, Kind, Listing
from keyrack.stores.sealing import open_api, open_key, open_upstream
from keyrack.tenancy import Tenants

PAGE = 500
NEEDS = ("tenants:manage", "keys:read", "audit:read", READ, READ_CREDITS)

Line = dict[str, Any]


def export(stores: Stores, tenant_id: str, *, by: Authority) -> Iterator[Line]:
    """The tenant, its keys, its credit groups with their balances, its APIs, its events and its refusals.

    Each is a line `{"kind": …, …}`; the last is an `end` that counts them.

    What has no `end` was cut off. Raises NotFound and NotHeld at once, and Unavailable on the way.
    """
    for scope in NEEDS:
        by.require(scope)
    tenant = Tenants(stores).get(tenant_id, by=by)
    return _counted(_lines(stores, tenant))


def _counted(lines: Iterator[Line]) -> Iterator[Line]:
    counts = Counter[str]()
    for line in lines:
        counts[f"{line['kind']}s"] += 1
        yield line
    yield {"kind": "end", **counts}


def _lines(stores: Stores, tenant: Tenant) -> Iterator[Line]:
    yield {"kind": "tenant", "tenant": tenant_json(tenant)}
    yield from ({"kind": "block", "block": block_json(block)} for block in tenant.blocks)
    yield from ({"kind": "key", "key": key} for key in _keys(stores, tenant.id))
    yield from ({"kind": "credit_group", "credit_group": group} for group in _groups(stores, tenant.id))
    yield from ({"kind": "credit_balance", "credit_balance": one} for one in _balances(stores, tenant.id))
    yield from ({"kind": "api", "api": api} for api in _apis(stores, tenant.id))
    yield from ({"kind": "event", "event": event} for event in _events(stores, tenant.id))
    yield from ({"kind": "denial", "denial": denial} for denial in _denials(stores, tenant.id))


def _keys(stores: Stores, tenant_id: str) -> Iterator[Line]:
    listing = Listing(Kind.KEY, most=PAGE, tenant=tenant_id)
    while page := stores.keys.records(listing):
        uses = stores.journal.uses([record.id for record in page])
        now = datetime.fromtimestamp(stores.clock(), UTC)
        yield from (key_json(open_key(record, stores.peppers), uses, now) for record in page)
        listing = replace(listing, after=page[-1].serial)


def _groups(stores: Stores, tenant_id: str) -> Iterator[Line]:
    tally, now = Tally(stores), datetime.fromtimestamp(stores.clock(), UTC)
    for _, group in everything(stores, Listing(Kind.UPSTREAM, tenant=tenant_id), open_upstream):
        yield upstream_json(group, tally.use_of(group), now)


def _balances(stores: Stores, tenant_id: str) -> Iterator[Line]:
    after = 0
    while stores.balances is not None and (page := stores.balances.find(tenant_id, after=after, most=PAGE)):
        yield from (balance_json(balance) for _, balance in page)
        after = page[-1][0]


def _apis(stores: Stores, tenant_id: str) -> Iterator[Line]:
    listing = Listing(Kind.API, tenant=tenant_id)
    yield from (api_json(api) for _, api in everything(stores, listing, open_api))


def _events(stores: Stores, tenant_id: str) -> Iterator[Line]:
    excerpt = Excerpt(most=PAGE, tenant=tenant_id)
    while page := stores.keys.entries(excerpt):
        yield from (event_json(open_known(entry, stores.peppers)[0]) for entry in page)
        excerpt = replace(excerpt, after=page[-1].number)


def _denials(stores: Stores, tenant_id: str) -> Iterator[Line]:
    after = 0
    while page := stores.journal.refusals(after=after, most=PAGE, tenant=tenant_id):
        yield from (refusal_json(refusal) for _, refusal in page)
        after = page[-1][0]
