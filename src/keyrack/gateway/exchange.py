"""One request to one server of an upstream, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp
from aiohttp import ClientResponse
from multidict import CIMultiDict
from yarl import URL

from keyrack.gateway.admission import Admission
from keyrack.gateway.body import RequestBody
from keyrack.gateway.injection import Injection
from keyrack.gateway.monitoring.outgoing import Outgoing
from keyrack.gateway.refusals import Refused

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods (RFC 9110, 9.2.2) that may be sent again though nobody knows what became of the first time."""
FAILURES = frozenset({500, 502, 503, 504})
"""Answers of a server that is in trouble: they are counted by the breaker, and tried again."""
REFUSALS = frozenset({401, 403})


class Dispatch(NamedTuple):
    """What is to be sent for one admitted request, but for the key."""

    admission: Admission
    method: str
    target: str
    """Path and query, as they came."""
    headers: Sequence[tuple[str, str]]
    body: RequestBody
    small: bytes | None
    """The whole body, where it came at once."""

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does, as far as the upstream is told."""
        named = any(name == "idempotency-key" and value for name, value in self.headers)
        return self.method in IDEMPOTENT or named

    @property
    def may_be_repeated(self) -> bool:
        """Whether that, and all of it is still there."""
        return self.is_repeatable and self.body.is_replayable


class Answered(NamedTuple):
    """The beginning of an answer, and with what it was got. Whoever has it ends it."""

    response: ClientResponse
    injection: Injection | None

    @property
    def is_refusal(self) -> bool:
        """Whether the upstream did not accept the key."""
        return self.response.status in REFUSALS

    @property
    def is_failure(self) -> bool:
        """Whether the server is in trouble."""
        return self.response.status in FAILURES


class Exchanges:
    """Makes requests."""

    def __init__(self, outgoing: Outgoing, *, silent_seconds: float):
        self._outgoing = outgoing
        self._silent_seconds = silent_seconds

    async def make(
        self, dispatch: Dispatch, server: str, injection: Injection | None
    ) -> ClientResponse | Refused:
        """The beginning of the answer, whatever it says, or why there is none.

        Raises ClientGone and BodyTooLong, which say nothing of the server.
        """
        try:
            return await self._request(dispatch, server, injection)
        except TimeoutError:
            return Refused.UPSTREAM_TIMEOUT
        except (aiohttp.ClientError, OSError):
            dispatch.body.require_sound()
            return Refused.UPSTREAM_UNREACHABLE

    async def _request(self, dispatch: Dispatch, server: str, injection: Injection | None) -> ClientResponse:
        headers = CIMultiDict(dispatch.headers)
        body = dispatch.body
        if injection is not None:
            headers[injection.header] = injection.value
        if dispatch.small is None and body.stated is not None:
            headers["Content-Length"] = str(body.stated)
        session = self._outgoing.session(dispatch.admission.tenant)
        loop = asyncio.get_running_loop()
        # Covers what the client's own timer does not: a server that does not read.
        async with asyncio.timeout(self._silent_seconds) as silence:
            body.on_wait = lambda: silence.reschedule(None)
            body.on_send = lambda: silence.reschedule(loop.time() + self._silent_seconds)
            try:
                return await session.request(
                    dispatch.method,
                    URL(f"{server}{dispatch.target}", encoded=True),
                    headers=headers,
                    data=body if dispatch.small is None else dispatch.small or None,
                    allow_redirects=False,
                )
            finally:
                body.on_wait = body.on_send = _nothing


def _nothing() -> None:
    pass
