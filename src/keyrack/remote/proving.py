"""From a text to the key that it proves: from memory, or by asking the server once.

A burst of unknown texts never becomes a burst of calls: malformed ones cost none, one text is one call
however often it comes, and beyond a few calls at a time the answer is `unavailable`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from keyrack.client import Client, reading
from keyrack.client.errors import CallRefused, RateLimited
from keyrack.client.values import Answer
from keyrack.core import session
from keyrack.core.checks import Proved, Refused
from keyrack.core.credential import MAX_LENGTH, looks_written, read
from keyrack.core.errors import KeyrackError
from keyrack.core.http import Presented
from keyrack.core.model import Address, Denied, Key, Reason, Secret
from keyrack.remote.known import Known, Refusals, Slots
from keyrack.remote.record import read_record
from keyrack.stores.follower import steady

MAX_UNKNOWN_CALLS = 8
ATTEMPTS = 10
ATTEMPT_SECONDS = 0.1
"""How often, and how soon, a server is asked again that has not heard yet of a change that we know of."""

log = logging.getLogger("keyrack.remote")
_REFUSED = {reason: Refused(Denied(reason)) for reason in Reason}
_never = threading.Event()


class Prover:
    """Proves texts for one process."""

    def __init__(self, client: Client, known: Known, has_foreign: Callable[[], bool]):
        self._client = client
        self._known = known
        self._has_foreign = has_foreign
        self._slots = Slots()
        self._refusals = Refusals()
        self._room = threading.BoundedSemaphore(MAX_UNKNOWN_CALLS)
        self._boarding = threading.Lock()
        self._flights: dict[bytes, Future[Proved | Refused]] = {}

    def peek(self, presented: Presented) -> Proved | Refused | None:
        """What is known without a call; None when the server has to be asked."""
        if isinstance(presented, Reason) or not presented:
            return _REFUSED[Reason(presented or Reason.MISSING)]
        if read(presented) is None and not self._may_be_other(presented):
            return _REFUSED[Reason.MALFORMED]
        slot = self._slots.of(presented)
        proved = self._known.find(slot)
        if proved is not None:
            return proved
        denied = self._refusals.find(slot, steady())
        return None if denied is None else Refused(denied)

    def prove(self, presented: Presented, address: Address | None) -> Proved | Refused:
        """The key that this text proves, or why it proves none."""
        found = self.peek(presented)
        return found if found is not None else self._board(self._slots.of(presented), presented, address)

    def _board(self, slot: bytes, text: str, address: Address | None) -> Proved | Refused:
        """Ask, or wait for whoever is asking about the same text already."""
        with self._boarding:
            flight = self._flights.get(slot)
            is_first = flight is None
            if flight is None:
                # Whoever asked may have come back since it was looked for.
                found = self.peek(text)
                if found is not None:
                    return found
                flight = self._flights[slot] = Future()
        if is_first:
            self._fly(flight, slot, text, address)
        return flight.result()

    def _fly(self, flight: Future[Proved | Refused], slot: bytes, text: str, address: Address | None) -> None:
        # Whoever waits is never left waiting, whatever becomes of this call.
        found: Proved | Refused = _REFUSED[Reason.STORE_DOWN]
        try:
            found = self._ask(slot, text, address)
        finally:
            with self._boarding:
                del self._flights[slot]
            flight.set_result(found)

    def _ask(self, slot: bytes, text: str, address: Address | None) -> Proved | Refused:
        if not self._room.acquire(blocking=False):
            log.warning("a text was refused unasked: %d others are being asked about", MAX_UNKNOWN_CALLS)
            return _REFUSED[Reason.STORE_DOWN]
        try:
            return self._ask_until_current(slot, text, address)
        except KeyrackError as error:
            return _REFUSED[trouble(error)]
        finally:
            self._room.release()

    def _ask_until_current(self, slot: bytes, text: str, address: Address | None) -> Proved | Refused:
        for _ in range(ATTEMPTS):
            proof = self._client.prove(text, ip=None if address is None else str(address))
            if proof["record"] is None:
                return self._refuse(slot, proof["refused"])
            proved = read_record(proof["record"])
            claimed = session.read(text)
            if claimed is not None:
                # It ends soon, and only the server knows its rules: nothing of it is kept.
                return replace(proved, answer=proved.answer._replace(session=claimed.session))
            if self._known.keep(slot, proved, proof["event"]):
                return proved
            _never.wait(ATTEMPT_SECONDS)
        return _REFUSED[Reason.STORE_DOWN]

    def _refuse(self, slot: bytes, answer: dict[str, Any]) -> Refused:
        denied = denied_of(reading.read_answer(answer))
        self._refusals.keep(slot, denied, steady())
        return Refused(denied)

    def _may_be_other(self, text: str) -> bool:
        """Whether this may be a session token, or a text that was imported."""
        if session.read(text) is not None:
            return True
        return self._has_foreign() and len(text) <= MAX_LENGTH and text.isascii() and not looks_written(text)


def denied_of(answer: Answer, key: Key | None = None, secret: Secret | None = None) -> Denied:
    """A refusal by the server as the value that guards answer by."""
    known = answer.key_id is not None
    return Denied(
        answer.reason or Reason.UNKNOWN,
        key if known else None,
        secret if known else None,
        answer.details,
        answer.limits,
        answer.retry_after,
    )


def trouble(error: KeyrackError) -> Reason:
    """What a failed call means for whoever waits for a decision: never that their key is bad."""
    if isinstance(error, CallRefused) and not isinstance(error, RateLimited):
        log.error("KEYRACK_KEY is refused by the server: %s", error.code)
        return Reason.UNCONFIGURED
    log.warning("the server could not be asked: %s", error.detail)
    return Reason.STORE_DOWN
