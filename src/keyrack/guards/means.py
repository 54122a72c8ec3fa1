"""What one guard decides and answers with, and what stands there when it was given no verifier."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Denied, Reason
from keyrack.guards.answers import Answers
from keyrack.stores.journal import Origin
from keyrack.verifier import Ceiling, Verifier

log = logging.getLogger("keyrack.guards")


class Unconfigured:
    """In place of a missing verifier: refuses everything, and logs why."""

    def verify(
        self, presented: Presented, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """Refuse."""
        log.error("request %s was refused: unconfigured, the guard has no verifier", origin[1])
        return Denied(Reason.UNCONFIGURED)

    def identify(
        self, presented: Presented, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """Refuse."""
        return self.verify(presented, access, origin)

    def allow(
        self, identified: Allowed, access: Access, origin: Origin, *, ceiling: Ceiling | None = None
    ) -> Decision:
        """Refuse."""
        return self.verify(Reason.UNCONFIGURED, access, origin)


class Means(NamedTuple):
    """What one guard decides and answers with."""

    verifier: Verifier | Unconfigured
    ceiling: Ceiling | None
    answers: Answers


def may_block(verifier: Verifier | None) -> bool:
    """Whether a decision may wait for a network; an event loop hands it to a thread then."""
    return verifier is not None and verifier.stores.counters.blocks


def clock_of(verifier: Verifier | None) -> Callable[[], float]:
    """The time that the verifier goes by, in Unix seconds."""
    return time.time if verifier is None else verifier.stores.clock
