"""`/v1/feed`, `/v1/prove`, `/v1/usage`: what a service needs to decide by itself on keys that live here."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from keyrack.core import fields
from keyrack.core.authority import Authority
from keyrack.core.checks import Proved
from keyrack.core.errors import NotFound
from keyrack.core.model import Key
from keyrack.remote.record import write_record
from keyrack.server import feed as feeds
from keyrack.server.dependencies import By
from keyrack.server.questions import answer_json
from keyrack.server.remote_bodies import (
    NODE,
    FeedQuery,
    FeedView,
    ProofView,
    ProveBody,
    UsageBody,
    UsageView,
    UseBody,
)
from keyrack.server.reported import Reported
from keyrack.stores.follower import steady
from keyrack.stores.journal import Use
from keyrack.stores.protocols import Kind
from keyrack.stores.replica import NotInMemory
from keyrack.stores.sealing import open_key
from keyrack.verifier import Verifier

ANY_TENANT = "tenants:verify"
Node = Annotated[str, Path(description="Its own word.", json_schema_extra={"pattern": f"^{NODE}$"})]
router = APIRouter(prefix="/v1", tags=["verify"])


@router.get("/feed", response_model=FeedView, summary="Follow what changes")
async def feed(request: Request, by: By, query: Annotated[FeedQuery, Query()]) -> dict[str, Any]:
    """Ids and numbers only, of the caller's own tenant unless it holds `tenants:verify`. Holds no thread."""
    verifier: Verifier = request.app.state.verifier
    begun = steady()
    await feeds.catch_up(verifier, query, begun)
    # A change waits until its followers say that they have passed it, so that is known at once …
    await asyncio.to_thread(_renew, verifier, by, query)
    await feeds.wait_for_news(verifier, query, begun)
    return await asyncio.to_thread(_page, verifier, by, query, steady() - begun)


@router.delete("/feed/{node}", status_code=204, response_class=Response, summary="Follow no more")
def leave(request: Request, by: By, node: Node) -> None:
    """No revocation waits for this node any more. Idempotent."""
    if re.fullmatch(NODE, node) is None:
        raise NotFound("No node is called that.")
    verifier: Verifier = request.app.state.verifier
    verifier.stores.journal.retire(_node_id(by, node))


@router.post("/prove", response_model=ProofView, summary="Prove a key, to decide on it elsewhere")
def prove(request: Request, by: By, body: ProveBody) -> dict[str, Any]:
    """Checks and spends nothing. A text that proves no key is counted and noted as at `/v1/verify`."""
    verifier: Verifier = request.app.state.verifier
    address = None if body.ip is None else fields.address(body.ip, "ip")
    # Before the look-up: what is told may then be newer than this number, and never older.
    event = verifier.follower.replica.head.number
    proved = verifier.prove(body.key, address, ("prove", by.request_id), within=_reach(by))
    if isinstance(proved, Proved):
        now = datetime.fromtimestamp(verifier.stores.clock(), UTC)
        return {"event": event, "record": write_record(proved, now), "refused": None}
    return {"event": event, "record": None, "refused": answer_json(proved)}


@router.post("/usage", response_model=UsageView, summary="Report the use of keys that passed elsewhere")
def usage(request: Request, by: By, body: UsageBody) -> dict[str, Any]:
    """Added to the last-used of each version; only those of keys that the caller could ask about."""
    verifier: Verifier = request.app.state.verifier
    now = verifier.stores.clock()
    uses = [_use(one, now) for one in body.uses if _is_known(verifier, one, _reach(by))]
    note = partial(verifier.stores.journal.write, uses, ())
    reported: Reported = request.app.state.reported
    if body.report is None:
        note()
    elif not reported.once(_node_id(by, body.report.node), body.report.number, note):
        return {"noted": 0}
    return {"noted": len(uses)}


def _page(verifier: Verifier, by: Authority, query: FeedQuery, waited: float) -> dict[str, Any]:
    # … and until then for max_stale from now, which is when this answer makes them certain.
    _renew(verifier, by, query, again=True)
    return feeds.page(verifier, query, waited=waited, within=_reach(by))


def _renew(verifier: Verifier, by: Authority, query: FeedQuery, *, again: bool = False) -> None:
    if query.node is not None:
        feeds.renew(verifier, _node_id(by, query.node), query.after, again=again)


def _node_id(by: Authority, node: str) -> str:
    return feeds.node_id(node, caller=by.name, within=_reach(by))


def _reach(by: Authority) -> str | None:
    """The one tenant that the caller may ask about, or None for all of them."""
    return None if by.holds(ANY_TENANT) else by.tenant


def _is_known(verifier: Verifier, use: UseBody, within: str | None) -> bool:
    key = _key(verifier, use.key_id)
    if key is None or within not in (None, key.tenant):
        return False
    return any(use.version == one.number for one in key.versions)


def _key(verifier: Verifier, key_id: str) -> Key | None:
    try:
        prepared = verifier.follower.replica.find(key_id)
    except NotInMemory:
        record = verifier.stores.keys.record(Kind.KEY, key_id)
        return None if record is None else open_key(record, verifier.stores.peppers)
    return None if prepared is None else prepared.versions[0].key


def _use(use: UseBody, now: float) -> Use:
    first, last = max(use.first_seconds_ago, use.last_seconds_ago), use.last_seconds_ago
    seen = {_network(one.address): now - one.last_seconds_ago for one in use.addresses}
    return Use(use.key_id, use.version, use.uses, now - first, now - last, seen)


def _network(text: str) -> str:
    """An address or a network as it is written here. Raises ValidationFailed."""
    network = fields.network(text, "addresses")
    return str(network.network_address if network.num_addresses == 1 else network)
