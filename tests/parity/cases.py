"""For every Reason a small world in which one request is refused for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from guards.bed import BY, PEER, Bed
from session_bed import ONE

from keyrack import Access, Limit, Policy, Reason, Verifier
from keyrack.admin.founding import found
from keyrack.core.errors import Unavailable
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.guards import Row
from keyrack.spending import Spender
from keyrack.tenancy import Tenants
from keyrack.vault.secrets import Vault
from parity.shapes import Case

ROW = Row("GET", "/logs", Access(("logs:read",)))
GROUP = {
    "api_credit_group": "models",
    "api_key": "an-upstream-key-of-theirs",
    "api_key_header": "x-api-key",
    "credit_tiers": [
        {
            "tier_name": "free",
            "credits": 1,
            "input_limit": None,
            "output_limit": None,
            "reset_frequency": "never",
        }
    ],
}
"""In which nobody has a balance."""
REQUEST_ID = ("X-Request-ID", "parity-1")


class World(NamedTuple):
    """A verifier, and the request that it refuses."""

    verifier: Verifier
    case: Case


def world(bed: Bed, *credentials: tuple[str, str], row: Row = ROW) -> World:
    return World(bed.verifier, Case(row, [*credentials, REQUEST_ID], PEER))


def presented(bed: Bed, text: str, *, row: Row = ROW) -> World:
    return world(bed, ("Authorization", f"Bearer {text}"), row=row)


def missing() -> World:
    return world(Bed())


def malformed() -> World:
    return presented(Bed(), "not a key")


def unknown() -> World:
    return presented(Bed(), Bed().text("logs:read"))


def revoked() -> World:
    bed = Bed()
    key, text = bed.mint("logs:read")
    bed.issuer.revoke(key.id, by=BY)
    return presented(bed, text)


def disabled() -> World:
    bed = Bed()
    key, text = bed.mint("logs:read")
    bed.issuer.disable(key.id, by=BY)
    return presented(bed, text)


def expired() -> World:
    bed = Bed()
    text = bed.text("logs:read", expires_at=datetime.fromtimestamp(bed.clock.now + 60, UTC))
    bed.clock.advance(61)
    return presented(bed, text)


def retired() -> World:
    bed = Bed()
    key, text = bed.mint("logs:read")
    bed.issuer.rotate(key.id, by=BY, grace=timedelta(hours=1))
    bed.clock.advance(3601)
    return presented(bed, text)


def ambiguous() -> World:
    bed = Bed()
    text = bed.text("logs:read")
    return world(bed, ("X-API-Key", text), ("Authorization", f"Bearer {text}"))


def tenant() -> World:
    bed = Bed()
    return presented(
        bed, bed.text("logs:read"), row=replace(ROW, access=Access(("logs:read",), tenant="other"))
    )


def suspended() -> World:
    bed = Bed()
    text = bed.text("logs:read")
    Tenants(bed.verifier.stores).suspend("default", "workspace", by=BY)
    bed.verifier.follower.poll()
    return presented(bed, text)


def network() -> World:
    bed = Bed()
    return presented(bed, bed.text("logs:read", networks=["198.51.100.0/24"]))


def scope() -> World:
    bed = Bed()
    return presented(bed, bed.text("logs:write"))


def no_credits() -> World:
    bed = Bed()
    Upstreams(bed.verifier.stores, Vault(ONE), spread=bed.verifier.spread).create(GROUP, by=BY)
    return presented(bed, bed.text("logs:read", owner="ada", credits=GROUP["api_credit_group"]))


def rate() -> World:
    bed = Bed(Policy(limits=(Limit("burst", 1, 60), Limit("daily", 9, 86400))))
    text = bed.text("logs:read")
    bed.verifier.verify(text, Access(("logs:read",)))
    bed.verifier.notebook._notes.clear()
    return presented(bed, text)


def unconfigured() -> World:
    bed = Bed()
    empty = replace(bed.verifier.stores, keys=type(bed.verifier.stores.keys)(), fixed=True)
    found(empty)
    verifier = Verifier(empty)
    verifier.follower.load()
    return World(verifier, Case(ROW, [REQUEST_ID], PEER))


class DownCounters:
    """Counters that cannot be read."""

    blocks = False

    def take(self, spends: Any, now: float) -> Any:
        raise Unavailable("down")


def store_down() -> World:
    bed = Bed(Policy(limits=(Limit("burst", 1, 60),)))
    bed.verifier._spender = Spender(DownCounters(), bed.verifier.policy)
    return presented(bed, bed.text("logs:read"))


def stale() -> World:
    bed = Bed()
    return presented(bed, bed.text("logs:read"))._replace(verifier=Verifier(bed.verifier.stores))


WORLDS: dict[Reason, Callable[[], World]] = {
    Reason.MISSING: missing,
    Reason.MALFORMED: malformed,
    Reason.UNKNOWN: unknown,
    Reason.REVOKED: revoked,
    Reason.DISABLED: disabled,
    Reason.EXPIRED: expired,
    Reason.RETIRED: retired,
    Reason.AMBIGUOUS: ambiguous,
    Reason.TENANT: tenant,
    Reason.SUSPENDED: suspended,
    Reason.NETWORK: network,
    Reason.SCOPE: scope,
    Reason.CREDITS: no_credits,
    Reason.RATE: rate,
    Reason.UNCONFIGURED: unconfigured,
    Reason.STORE_DOWN: store_down,
    Reason.STALE: stale,
}
