"""Which version of an upstream's key a request is sent with, and which one after a refusal (UG-20, UG-21).

One request of a client is one to the upstream, unless it refuses the version during a rotation.
"""

from __future__ import annotations

from datetime import UTC, datetime

from keyrack.core.rotation import is_live
from keyrack.core.upstream import Plan, Upstream, UpstreamVersion
from keyrack.gateway.attempts import Attempts
from keyrack.gateway.exchange import Answered, Dispatch
from keyrack.gateway.monitoring.signals import Signal, SignalKind, Signals
from keyrack.gateway.monitoring.tally import Fallback, Tally
from keyrack.gateway.refusals import Refused
from keyrack.stores.opened import Clock

UNAUTHORIZED = 401


class Sender:
    """Sends what was admitted, and counts what came of each version."""

    def __init__(self, attempts: Attempts, tally: Tally, signals: Signals, *, clock: Clock):
        self._attempts = attempts
        self._tally = tally
        self._signals = signals
        self._clock = clock

    async def send(self, dispatch: Dispatch) -> Answered | Refused:
        """The answer to pass on, or why there is none. Raises Unavailable when breakers cannot be read."""
        admission = dispatch.admission
        if admission.upstream is None or admission.user_key is not None:
            return await self._attempts.send(dispatch, None)
        first, *others = admission.candidates
        answer = await self._attempts.send(dispatch, first)
        other = self._after_refusal(answer, admission.upstream, others)
        if other is None or isinstance(answer, Refused):
            self._note(dispatch, first, _verdict(answer))
            return answer
        if not dispatch.body.is_replayable or not _may_follow(dispatch, answer):
            self._note(dispatch, first, None, None if dispatch.body.is_replayable else "not_replayed")
            return answer
        answer.response.release()
        return await self._fall_back(dispatch, first, other)

    async def _fall_back(
        self, dispatch: Dispatch, first: UpstreamVersion, other: UpstreamVersion
    ) -> Answered | Refused:
        """Send once more with another version; the first refusal counts only if that one passes."""
        answer = await self._attempts.send(dispatch, other)
        verdict = _verdict(answer)
        self._note(dispatch, first, False if verdict else None)
        self._note(dispatch, other, verdict, "to_new" if other.number > first.number else "to_old")
        admission, told = dispatch.admission, {"from": first.number, "to": other.number}
        self._signals.tell(Signal(SignalKind.FALLBACK, admission.tenant, admission.api.group or "", told))
        return answer

    def _after_refusal(
        self, answer: Answered | Refused, upstream: Upstream, others: list[UpstreamVersion]
    ) -> UpstreamVersion | None:
        """The version that an upstream may know in place of the one that it refused, if there is one."""
        if isinstance(answer, Refused) or not answer.is_refusal:
            return None
        now = datetime.fromtimestamp(self._clock(), UTC)
        newest = upstream.versions[-1]
        known = [one for one in others if is_live(one, now)]
        if _is_emergency(upstream) and self._tally.accepted_new(upstream):
            known = [one for one in known if one is newest]
        if len(known) < 2:
            return known[0] if known else None
        number = self._tally.latest_success(upstream.id, [one.number for one in known])
        return next((one for one in known if one.number == number), known[0])

    def _note(
        self,
        dispatch: Dispatch,
        version: UpstreamVersion,
        verdict: bool | None,
        fallback: Fallback | None = None,
    ) -> None:
        admission = dispatch.admission
        if admission.upstream is None:
            return
        key = None if admission.allowed is None else admission.allowed.key
        self._tally.sent(
            admission.upstream,
            version.number,
            accepted=verdict,
            key_id=None if key is None else key.id,
            owner=None if key is None else key.owner,
            fallback=fallback,
        )


def _verdict(answer: Answered | Refused) -> bool | None:
    """True when the upstream accepted the key; None for what says nothing of it, a lone refusal as well."""
    if isinstance(answer, Refused) or answer.is_refusal or answer.response.status >= 500:
        return None
    return True


def _may_follow(dispatch: Dispatch, answer: Answered) -> bool:
    """Whether a request may be sent again after this refusal: a 403 may come after it was carried out."""
    return answer.response.status == UNAUTHORIZED or dispatch.is_repeatable


def _is_emergency(upstream: Upstream) -> bool:
    return upstream.rollout is not None and upstream.rollout.plan is Plan.EMERGENCY
