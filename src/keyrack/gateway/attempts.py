"""Sends a request with one version of a key: once, and again while the upstream's servers are in trouble and
the API allows it (UG-47)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

from keyrack.core.errors import Unavailable
from keyrack.core.rotation import is_live
from keyrack.core.upstream import UpstreamVersion
from keyrack.gateway.exchange import Answered, Dispatch, Exchanges
from keyrack.gateway.injection import Injector, UpstreamKeyUnavailable
from keyrack.gateway.monitoring.breaker import CircuitBreakers
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.gateway.refusals import Refused
from keyrack.stores.opened import Clock

BASE_SECONDS, CAP_SECONDS = 0.25, 2.0
Pause = Callable[[float], Awaitable[None]]
_WORTH_REPEATING = frozenset({Refused.UPSTREAM_TIMEOUT, Refused.UPSTREAM_UNREACHABLE})


class Attempts:
    """Tries the servers of an API in turn, each only while its breaker lets it."""

    def __init__(
        self,
        exchanges: Exchanges,
        injector: Injector,
        *,
        breakers: CircuitBreakers,
        signals: Signals,
        clock: Clock,
        pause: Pause = asyncio.sleep,
    ):
        self._exchanges = exchanges
        self._injector = injector
        self._breakers = breakers
        self._signals = signals
        self._clock = clock
        self._pause = pause
        self._turns = count()

    async def send(self, dispatch: Dispatch, version: UpstreamVersion | None) -> Answered | Refused:
        """The last answer that came of it. Raises Unavailable when the breakers cannot be read.

        `version` is that of the group's key; None where there is none to send, or the user's own is sent.
        """
        for done in count():
            answer = await self._once(dispatch, 0 if version is None else version.number)
            is_last = done == dispatch.admission.api.retries
            if is_last or not _is_worth_repeating(answer) or not self._may_repeat(dispatch, version):
                break
            if isinstance(answer, Answered):
                answer.response.release()
            await self._pause(_back_off(done))
        return answer

    def _may_repeat(self, dispatch: Dispatch, version: UpstreamVersion | None) -> bool:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return dispatch.may_be_repeated and (version is None or is_live(version, now))

    async def _once(self, dispatch: Dispatch, number: int) -> Answered | Refused:
        server = await self._server(dispatch)
        if server is None:
            return Refused.CIRCUIT_OPEN
        try:
            injection = await self._injector.injection(dispatch.admission, number, server)
        except UpstreamKeyUnavailable as error:
            self._alert(dispatch, number, error)
            return Refused.UPSTREAM_KEY_UNAVAILABLE
        response = await self._exchanges.make(dispatch, server, injection)
        if isinstance(response, Refused):
            await self._note(dispatch, server, is_well=False)
            return response
        answered = Answered(response, injection)
        await self._note(dispatch, server, is_well=not answered.is_failure)
        return answered

    async def _server(self, dispatch: Dispatch) -> str | None:
        """The next server of the API that may be sent something; None when none of them may."""
        servers, turn = dispatch.admission.api.servers, next(self._turns)
        for index in range(len(servers)):
            server = servers[(turn + index) % len(servers)]
            if await self._breakers.may_send(_circuit(dispatch, server)):
                return server
        return None

    async def _note(self, dispatch: Dispatch, server: str, *, is_well: bool) -> None:
        note = self._breakers.succeeded if is_well else self._breakers.failed
        # Whoever was answered gets the answer, whether or not it can be counted.
        with suppress(Unavailable):
            await note(_circuit(dispatch, server))

    def _alert(self, dispatch: Dispatch, number: int, error: UpstreamKeyUnavailable) -> None:
        admission = dispatch.admission
        told = {"version": number, "api": admission.api.name, "detail": error.detail}
        kind = SignalKind.UPSTREAM_KEY_UNAVAILABLE
        self._signals.tell(Signal(kind, admission.tenant, admission.api.group or "", told))


def _is_worth_repeating(answer: Answered | Refused) -> bool:
    return answer in _WORTH_REPEATING if isinstance(answer, Refused) else answer.is_failure


def _back_off(done: int) -> float:
    """Seconds to wait after so many attempts and one: all who failed together come back apart."""
    return random.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2**done))  # noqa: S311  # no secret


def _circuit(dispatch: Dispatch, server: str) -> str:
    """Whose breaker: what one tenant's requests do to a server opens nobody else's."""
    return f"{dispatch.admission.tenant} {server}"
