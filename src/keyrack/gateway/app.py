"""The gateway: requests below /api/rest/ are admitted and carried to their upstream.

Plain ASGI in front of the framework; bodies stream in both directions, at the pace of whoever reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from keyrack.core.errors import InvalidRequest
from keyrack.core.http import Headers, Response, by_name, values
from keyrack.core.model import Address, Network
from keyrack.core.upstream import SendPolicy
from keyrack.gateway.admission import Admission
from keyrack.gateway.attempts import Attempts, Pause
from keyrack.gateway.body import RequestBody
from keyrack.gateway.carrying import Carrier, Journey
from keyrack.gateway.data_plane import DataPlane
from keyrack.gateway.decider import new_request_id
from keyrack.gateway.exchange import Exchanges
from keyrack.gateway.monitoring.outgoing import Outgoing
from keyrack.gateway.paths import PREFIX, read_target
from keyrack.gateway.refusals import Refused
from keyrack.gateway.sending import Sender
from keyrack.guards.asgi import Application, Receive, Scope, Send
from keyrack.guards.client_address import client_address
from keyrack.stores.balances import Outcome

log = logging.getLogger("keyrack.gateway")


class Gateway:
    """Serves what is below /api/rest/ and hands everything else on."""

    def __init__(
        self,
        app: Application,
        plane: DataPlane,
        *,
        trusted_proxies: Sequence[Network] = (),
        networks: Sequence[Network] = (),
        silent_seconds: float = 60.0,
        pause: Pause = asyncio.sleep,
    ):
        """`networks` are those that upstreams of every tenant may be in; `silent_seconds` is how long one may
        say nothing; `pause` waits before a request is sent again."""
        self._app = app
        self._admissions = plane.admissions
        self._refusals = plane.admissions.refusals
        self._outgoing = Outgoing(networks, silent_seconds=silent_seconds)
        self._carrier = _carrier(plane, Exchanges(self._outgoing, silent_seconds=silent_seconds), pause)
        self._trusted = tuple(trusted_proxies)
        self._clock = plane.verifier.clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                await self._outgoing.close()
        elif scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _identify(scope)
        try:
            response = await self._answer(scope, receive, send, request_id)
        except Exception:  # the edge of the gateway: whatever fails here, clients get an answer of its own
            log.exception("a request failed in the gateway", extra={"request_id": request_id})
            now = self._clock()
            response = self._refusals.refuse(Refused.INTERNAL_ERROR, request_id=request_id, now=now)
        if response is not None and "status" not in scope["state"]:
            await _send(response, scope, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> Response | None:
        begun_at = time.perf_counter()
        headers = by_name(scope["headers"])
        if any(b"websocket" in value.lower() for value in values(headers, b"upgrade")):
            return self._refusals.refuse(Refused.NOT_SUPPORTED, request_id=request_id, now=self._clock())
        try:
            target = read_target(scope["method"], _raw_path(scope), scope["query_string"], headers)
        except InvalidRequest as error:
            return self._refusals.fail(error, request_id=request_id)
        body = RequestBody(headers, receive)
        admission = await self._admissions.admit(
            target,
            headers,
            self._client(scope, headers),
            policy=SendPolicy.PREFER_NEW,
            at_lapse=Outcome.REFUNDED,
            input_units=body.stated or 0,
            request_id=request_id,
        )
        if isinstance(admission, Response):
            return admission
        _describe(scope, admission)
        return await self._carrier.carry(
            Journey(admission, target, scope["headers"], body, receive, send, begun_at)
        )

    def _client(self, scope: Scope, headers: Headers) -> Address | None:
        peer = scope.get("client")
        return client_address(peer[0] if peer else None, values(headers, b"x-forwarded-for"), self._trusted)


def _carrier(plane: DataPlane, exchanges: Exchanges, pause: Pause) -> Carrier:
    clock, signals = plane.verifier.clock, plane.monitoring.signals
    breakers = plane.monitoring.breakers
    attempts = Attempts(
        exchanges, plane.injector, breakers=breakers, signals=signals, clock=clock, pause=pause
    )
    sender = Sender(attempts, plane.monitoring.tally, signals, clock=clock)
    refusals = plane.admissions.refusals
    return Carrier(sender, plane.charges, signals, refusals=refusals, clock=clock)


def _identify(scope: Scope) -> str:
    """Give the request an id of ours, in place of the client's."""
    request_id = new_request_id()
    scope.setdefault("state", {})["request_id"] = request_id
    return request_id


def _describe(scope: Scope, admission: Admission) -> None:
    """What the line that is logged for this request says of it."""
    scope["state"]["operation"] = admission.operation
    scope["state"]["key"] = admission.allowed


def _raw_path(scope: Scope) -> bytes:
    # Some servers leave the query in the raw path, and some have none.
    raw: bytes | None = scope.get("raw_path")
    return b"" if raw is None else raw.partition(b"?")[0]


async def _send(response: Response, scope: Scope, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
    if any(name == b"expect" for name, _ in scope["headers"]):
        # Whether the body that was announced will still come is not known: nothing may be read after it.
        headers.append((b"connection", b"close"))
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
