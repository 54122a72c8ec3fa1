"""Limits of those who have shown no live token, by client address (CI-92). It stands outside of the guard.

A public request is charged before it is served; a request that turns out to be a failed or missing
authentication is charged when the guard says so. Limits of tokens are charged by `roles.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.ci_results.middleware import errors
from examples.ci_results.operations import API, OPERATIONS, Bucket, Limits
from examples.ci_results.problems import RateLimited, Unavailable
from keyrack import Limit, Verifier
from keyrack import Unavailable as CountersUnavailable
from keyrack.guards import ratelimit_headers
from keyrack.guards.client_address import client_address

IPV6_PREFIX = 64
"""One customer's worth of IPv6 addresses."""
_PUBLIC = {(one.method, one.path): one.bucket for one in OPERATIONS if one.is_public}
_LIMITED = (f"{API}/", "/worker/", "/progress-reporter/")
"""Where every answer says what is left of a limit (CI-94)."""
_COUNTED = b"x-ratelimit-limit"
_FREE = {("GET", "/livez")}
"""It touches nothing, counters included."""


@dataclass(frozen=True, slots=True)
class Charged:
    """One request that was charged: what its answer says, and the refusal if it did not fit."""

    headers: Sequence[tuple[str, str]]
    refusal: RateLimited | None


class AddressLimits:
    """An application whose public requests and failed authentications are limited by address."""

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        limits: Limits,
        *,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
    ):
        self._app = app
        self._verifier = verifier
        self._limits = limits
        self._trusted = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) in _FREE:
            await self._app(scope, receive, send)
            return
        bucket = _PUBLIC.get((scope["method"], scope["path"]))
        if bucket is None:
            await self._app(scope, receive, _Failing(self, scope, receive, send))
            return
        charged = await self.charge(scope, bucket)
        if isinstance(charged, Unavailable) or charged.refusal is not None:
            await refuse(charged, scope, receive, send)
            return
        await self._app(scope, receive, _adding(charged, send))

    async def charge(self, scope: Scope, bucket: Bucket) -> Charged | Unavailable:
        """Charge one request to the bucket of its address."""
        peer = scope.get("client")
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        address = client_address(peer[0] if peer else None, lines, self._trusted)
        who = (
            f"{address}"
            if not isinstance(address, IPv6Address)
            else str(IPv6Network((address, IPV6_PREFIX), strict=False))
        )
        limit = self._limits[bucket]
        return await asyncio.to_thread(self._charge, f"{limit.name}/{who}", limit)

    def _charge(self, bucket: str, limit: Limit) -> Charged | Unavailable:
        try:
            taken = self._verifier.charge(bucket, [limit])
        except CountersUnavailable:
            return Unavailable("Requests cannot be counted at the moment.")
        headers = ratelimit_headers(taken.rates, self._verifier.clock())
        if taken.ok:
            return Charged(headers, None)
        wait = taken.retry_after or 1
        return Charged(headers, RateLimited(retry_after=wait, limit=limit.limit, window=limit.window_seconds))


class _Failing:
    """Charges an answer to the address before it goes out, if it is a 401 or was charged to no token."""

    def __init__(self, limits: AddressLimits, scope: Scope, receive: Receive, send: Send):
        self._limits = limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_uncharged(message):
            await self._failed(message)
        elif not self._is_replaced:
            await self._send(message)

    def _is_uncharged(self, start: Message) -> bool:
        if start["status"] == 401:
            return True
        names = {name for name, _ in start["headers"]}
        return self._scope["path"].startswith(_LIMITED) and _COUNTED not in names

    async def _failed(self, start: Message) -> None:
        charged = await self._limits.charge(self._scope, Bucket.PUBLIC)
        self._is_replaced = isinstance(charged, Unavailable) or charged.refusal is not None
        if isinstance(charged, Unavailable) or charged.refusal is not None:
            await refuse(charged, self._scope, self._receive, self._send)
        else:
            await _adding(charged, self._send)(start)


async def refuse(charged: Charged | Unavailable, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in place of the application."""
    if isinstance(charged, Unavailable):
        await errors.answer(charged)(scope, receive, send)
    elif charged.refusal is not None:
        await errors.answer(charged.refusal, dict(charged.headers))(scope, receive, send)


def _adding(charged: Charged, send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in charged.headers]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in added}
            kept = [pair for pair in message["headers"] if pair[0] not in own]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return sending
