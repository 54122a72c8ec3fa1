"""Carries admitted requests: to the upstream, its answer back, and their credits to the end."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple

from keyrack.core.errors import Unavailable
from keyrack.core.http import Lines, Response, header_safe
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.gateway import input_room
from keyrack.gateway.admission import Admission
from keyrack.gateway.body import BodyTooLong, ClientGone, RequestBody
from keyrack.gateway.charging import Charges
from keyrack.gateway.exchange import Answered, Dispatch
from keyrack.gateway.headers import BACKEND_TIME, GATEWAY_TIME, sent_headers
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.gateway.paths import Target
from keyrack.gateway.presence import Presence
from keyrack.gateway.refusals import Refusals, Refused
from keyrack.gateway.relay import Cut, Relay
from keyrack.gateway.sending import Sender
from keyrack.gateway.settlement import Settlement
from keyrack.guards.asgi import Receive, Send
from keyrack.stores.opened import Clock


class Journey(NamedTuple):
    """One admitted request, and its client."""

    admission: Admission
    target: Target
    lines: Lines
    body: RequestBody
    receive: Receive
    send: Send
    begun_at: float
    """When it came, by `time.perf_counter`."""


class Carrier:
    """Carries requests with what one process has: connections, counts of versions, credits."""

    def __init__(
        self, sender: Sender, charges: Charges, signals: Signals, *, refusals: Refusals, clock: Clock
    ):
        self._sender = sender
        self._charges = charges
        self._signals = signals
        self._refusals = refusals
        self._clock = clock

    async def carry(self, journey: Journey) -> Response | None:
        """Answer the request, or say what to answer it with.

        None as well where there is nobody to answer any more, or an answer had to be left incomplete.
        """
        settlement = Settlement(self._charges, journey.admission.held)
        input_room.bound(journey.body, journey.admission)
        try:
            small = await journey.body.small()
            return await self._sent(journey, small, settlement)
        except ClientGone:  # before anything was sent
            return None
        except BodyTooLong:
            denied = input_room.exceeded(journey.body, journey.admission)
            now, request_id = self._clock(), journey.admission.request_id
            return self._refusals.deny(denied, request_id=request_id, now=now)
        finally:
            await settlement.refund()  # after whatever said nothing of them, a fault of ours as well

    async def _sent(self, journey: Journey, small: bytes | None, settlement: Settlement) -> Response | None:
        try:
            async with Presence(journey.receive, journey.body):
                return await self._exchange(journey, small, settlement)
        except (ClientGone, Cut):
            await settlement.end(journey.body.size)
            return None

    async def _exchange(
        self, journey: Journey, small: bytes | None, settlement: Settlement
    ) -> Response | None:
        sent_at = time.perf_counter()
        try:
            answer = await self._sender.send(_dispatch(journey, small))
        except Unavailable as error:
            await settlement.refund()
            return self._refusals.fail(error, request_id=journey.admission.request_id)
        if isinstance(answer, Refused):
            await settlement.refund()
            return self._refuse(journey, answer)
        try:
            return await self._pass_on(journey, answer, settlement, sent_at)
        finally:
            answer.response.close()

    async def _pass_on(
        self, journey: Journey, answer: Answered, settlement: Settlement, sent_at: float
    ) -> Response | None:
        relay = Relay(answer, journey.admission.api, settlement)
        settlement.begin(answer.response.status, relay.meter)

        async def end() -> None:
            await settlement.end(journey.body.size)

        refused = relay.refusal()
        try:
            if refused is None:
                headers = self._headers(journey, sent_at)
                await relay.pass_on(journey.send, headers, end)
                return None
        finally:
            if relay.has_echoed:
                self._alert(journey)
        await end()
        return self._refuse(journey, refused)

    def _headers(self, journey: Journey, sent_at: float) -> list[tuple[bytes, bytes]]:
        """What the gateway says on an upstream's answer; times in milliseconds."""
        now = time.perf_counter()
        said = [
            (b"x-request-id", journey.admission.request_id.encode()),
            (GATEWAY_TIME, b"%.1f" % ((sent_at - journey.begun_at) * 1000)),
            (BACKEND_TIME, b"%.1f" % ((now - sent_at) * 1000)),
        ]
        allowed = journey.admission.allowed
        if allowed is not None and allowed.rates:
            rates = ratelimit_headers(allowed.rates, self._clock())
            said += [(name.encode(), value.encode()) for name, value in rates]
        return said

    def _refuse(self, journey: Journey, refused: Refused) -> Response:
        admission = journey.admission
        return self._refusals.refuse(
            refused,
            request_id=admission.request_id,
            now=self._clock(),
            rates=() if admission.allowed is None else admission.allowed.rates,
        )

    def _alert(self, journey: Journey) -> None:
        admission = journey.admission
        api, endpoint = admission.api, admission.endpoint
        told = {"api": api.name, "version": api.version, "endpoint": endpoint.uri}
        kind = SignalKind.UPSTREAM_KEY_ECHOED
        self._signals.tell(Signal(kind, admission.tenant, admission.api.group or "", told))


def _dispatch(journey: Journey, small: bytes | None) -> Dispatch:
    admission, target = journey.admission, journey.target
    key_header = None if admission.upstream is None else admission.upstream.header
    headers = sent_headers(journey.lines, admission.api, key_header)
    query = f"?{target.query.decode()}" if target.query else ""
    return Dispatch(
        admission,
        target.method,
        f"{target.path.decode()}{query}",
        (*headers, *_identity(admission)),
        journey.body,
        small,
    )


def _identity(admission: Admission) -> list[tuple[str, str]]:
    """Whose request it is, all of it always, empty if need be."""
    key = None if admission.allowed is None else admission.allowed.key
    tenant, user = (admission.tenant, "") if key is None else (key.tenant, key.owner or "")
    return [
        ("accept-encoding", "identity"),
        ("x-request-id", admission.request_id),
        ("x-keyrack-tenant", _safe(tenant)),
        ("x-keyrack-user", _safe(user)),
        ("x-keyrack-key-id", "" if key is None else key.id),
    ]


_safe = lru_cache(10_000)(header_safe)
