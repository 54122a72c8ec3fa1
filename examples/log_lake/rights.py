"""Rights on streams: asked for on every use, once the request has said which streams it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from examples.log_lake.operations import QUERY
from examples.log_lake.problems import StreamsDenied
from keyrack import Access, Denied, Reason
from keyrack.guards.fastapi import KeyState, Refused


async def permit(key: KeyState, *scopes: str, service: str | None = None) -> None:
    """Check scopes, suspension and rate limits of a LATER operation; leaves the handler with a denial.

    Raises keyrack's Refused. In a thread, since counters that nodes share are beyond a network.
    """
    await asyncio.to_thread(key.require, Access(scopes=scopes, service=service))


async def permit_reading(key: KeyState, streams: Collection[str]) -> None:
    """`permit` for a query; who lacks scopes is told for which streams. Raises StreamsDenied or Refused."""
    decision = await asyncio.to_thread(key.allow, reading(key, streams))
    if not isinstance(decision, Denied):
        return
    if decision.reason is Reason.SCOPE:
        raise StreamsDenied([stream for stream in streams if not key.holds(f"streams/{stream}:query")])
    raise Refused(key.response(decision))


def reading(key: KeyState, streams: Collection[str]) -> Access:
    """What a query of these streams needs, as long as it runs."""
    scopes = tuple(f"streams/{stream}:query" for stream in sorted(streams))
    return Access(scopes=scopes, service=QUERY, address=key.address)
