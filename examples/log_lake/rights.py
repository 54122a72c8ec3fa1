"""Rights on streams: asked for on every use, once the request has said which streams it is about."""

from __future__ import annotations

import asyncio

from keyrack import Access
from keyrack.guards.fastapi import KeyState


async def permit(key: KeyState, *scopes: str, service: str | None = None) -> None:
    """Check scopes, suspension and rate limits of a LATER operation; leaves the handler with a denial.

    Raises keyrack's Refused. In a thread, since counters that nodes share are beyond a network.
    """
    await asyncio.to_thread(key.require, Access(scopes=scopes, service=service))
