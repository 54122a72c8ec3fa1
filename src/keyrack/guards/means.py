"""What one guard decides and answers with, and what stands there when it was given no verifier."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from keyrack.core.http import Presented
from keyrack.core.model import Access, Allowed, Decision, Denied, Reason
from keyrack.deciding import ANYTHING, Ceiling, Decides
from keyrack.guards.answers import Answers
from keyrack.stores.journal import Origin

log = logging.getLogger("keyrack.guards")


class Unconfigured:
    """In place of a missing verifier: refuses everything, and logs why."""

    clock = staticmethod(time.time)

    def waits(self, presented: Presented, access: Access = ANYTHING) -> bool:
        """It decides at once."""
        return False

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

    verifier: Decides
    ceiling: Ceiling | None
    answers: Answers
