"""What happens in the life of such a gateway, played on the real thing: each scene says what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from examples.ai_gateway.calls import ELSEWHERE, Reply, ask, session
from examples.ai_gateway.house import House, provider_key
from examples.ai_gateway.http import Desk
from examples.ai_gateway.load import Load
from examples.ai_gateway.setup import FREE_CREDITS, GROUP, Caller, console, keyrack

GRACE_SECONDS = 3600
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Calls:
    """One question asked plainly and one streamed, and what the provider saw."""

    plain: Reply
    streamed: Reply
    keys_seen: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A provider's key that was replaced under load."""

    answered: int
    failures: Mapping[str, int]
    old: str
    """The last four characters of each key."""
    new: str
    refused: Mapping[str, int]
    """Requests that the provider refused, by the key that they carried."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A caller's key that somebody else had, too."""

    seen_from: tuple[str, ...]
    while_blocked: Reply
    after_rotation: Reply
    ended_within_seconds: float
    owner: Reply


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """A caller who had five calls."""

    statuses: tuple[int, ...]
    refused: Reply
    when_overloaded: int
    left_after_overload: int


async def calls(house: House, caller: Caller) -> Calls:
    """Two questions: neither the caller nor anybody on its way has the provider's key."""
    async with session() as client:
        plain = await ask(client, house, caller.secret)
        streamed = await ask(client, house, caller.secret, stream=True)
    async with console(house) as desk:
        seen = await desk("GET", "/console/keys")
    return Calls(plain, streamed, seen["accepted"])


async def rotation(house: House, caller: Caller, old: str) -> Rotation:
    """Replace the provider's key while programs call: no request fails, and the old key ends unused."""
    new = provider_key()
    async with Load(house, caller.secret) as load, keyrack(house) as desk, console(house) as account:
        await account("PUT", "/console/keys", {"keys": [old, new]})
        start = {"api_key_new": new, "grace_seconds": GRACE_SECONDS}
        await desk("POST", f"/v1/credits/{GROUP}/rotation", start)
        await load.rounds(ROUNDS)
        await desk("POST", f"/v1/credits/{GROUP}/rotation/promote", {"destroy": True})
        await load.rounds(1)
        await account("PUT", "/console/keys", {"keys": [new]})
        await load.rounds(ROUNDS)
        seen = await account("GET", "/console/keys")
        return Rotation(load.good, dict(load.failures), old[-4:], new[-4:], seen["refused"])


async def leak(house: House, caller: Caller) -> Leak:
    """Somebody else uses a caller's key: seen, kept out by the network, and ended by a new secret."""
    async with session(elsewhere=True) as thief, session() as owner, keyrack(house) as desk:
        await ask(thief, house, caller.secret)
        await ask(owner, house, caller.secret)
        seen_from = await _seen_from(desk, caller)
        block = await desk("POST", "/v1/network-blocks", {"cidr": f"{ELSEWHERE}/32", "reason": "leaked key"})
        while_blocked = await ask(thief, house, caller.secret)
        destroy = {"grace_seconds": 0, "compromised": True}
        rotated = await desk("POST", f"/v1/keys/{caller.key_id}/rotation", destroy)
        ended_at = time.perf_counter()
        await desk("DELETE", f"/v1/network-blocks/{block['id']}")
        after_rotation = await ask(thief, house, caller.secret)
        return Leak(
            seen_from,
            while_blocked,
            after_rotation,
            time.perf_counter() - ended_at,
            await ask(owner, house, rotated["secret"]),
        )


async def exhaustion(house: House, caller: Caller) -> Exhaustion:
    """An overloaded model costs nothing; five answers are five credits, and the sixth question is refused."""
    async with session() as client, keyrack(house) as desk:
        overloaded = await ask(client, house, caller.secret, model="overloaded-1")
        left = await _credits(desk, caller)
        replies = [await ask(client, house, caller.secret) for _ in range(FREE_CREDITS + 1)]
    return Exhaustion(tuple(reply.status for reply in replies), replies[-1], overloaded.status, left)


async def _credits(desk: Desk, caller: Caller) -> int:
    found = await desk("GET", f"/v1/credit-balances/{caller.name}")
    balances: list[dict[str, Any]] = found["data"]
    return next(int(one["available_credits"]) for one in balances if one["api_credit_group"] == GROUP)


async def _seen_from(desk: Desk, caller: Caller) -> tuple[str, ...]:
    """From where the caller's secret was used, once that is written, which is done each second."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        key = await desk("GET", f"/v1/keys/{caller.key_id}")
        found = tuple(one["address"] for version in key["versions"] for one in version["addresses"])
        if ELSEWHERE in found or time.monotonic() > until:
            return found
        await asyncio.sleep(LOOK_SECONDS)
