"""What a handler gets of the key that called it."""

from __future__ import annotations

import logging
from dataclasses import replace

from keyrack.core.errors import Unavailable
from keyrack.core.http import Response
from keyrack.core.model import Access, Address, Allowed, Decision, Denied, Key, Rate, Secret
from keyrack.core.scopes import covers
from keyrack.guards.means import Means
from keyrack.guards.request import Request
from keyrack.guards.rows import Row
from keyrack.guards.table import Place

_UNASKED = Unavailable("This request could not be checked.")

log = logging.getLogger("keyrack.guards")


class Refused(Exception):
    """How a handler leaves with a denial where its framework lets it; guards.fastapi and .flask do."""

    def __init__(self, response: Response):
        super().__init__("The key was refused.")
        self.response = response


class KeyState:
    """The proved key of a request, and the way to ask more of it. One for each request.

    `allow` is for rows that are LATER, where no answer passes before it was asked, and for whatever a
    handler needs beyond its row. Each call is a decision of its own: it checks, spends and notes. It
    may wait where the counters do; an async handler then calls it in a thread.
    """

    __slots__ = ("_access", "_means", "_place", "_request", "allowed", "has_passed", "rates")

    def __init__(self, means: Means, place: Place, request: Request, access: Access, allowed: Allowed):
        self._means = means
        self._place = place
        self._request = request
        self._access = access
        self.allowed = allowed
        """The decision that let the request in, or the last one by which `allow` did."""
        self.has_passed = not place.is_later
        """Whether an answer below 400 may go out."""
        self.rates: tuple[Rate, ...] = allowed.rates
        """The limits as of the last decision, whichever way it went."""

    @property
    def key(self) -> Key:
        """The key's record."""
        return self.allowed.key

    @property
    def secret(self) -> Secret:
        """The version of the key that was presented."""
        return self.allowed.secret

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the key may do here: its own scopes, met with every ceiling."""
        return self.allowed.scopes

    @property
    def row(self) -> Row:
        """The row that the request came in by."""
        return self._place.row

    @property
    def address(self) -> Address | None:
        """The client's address, as decisions see it."""
        return self._access.address

    @property
    def request_id(self) -> str:
        """The id that answers, log and journal give this request."""
        return self._request.id

    def holds(self, scope: str) -> bool:
        """Whether the key may do this as far as its scopes go; asks nothing more, and spends nothing."""
        return covers(self.allowed.scopes, scope)

    def allow(self, access: Access) -> Decision:
        """Ask whether the key may do this; the client's address is filled in."""
        verifier, ceiling, _ = self._means
        decision = verifier.allow(
            self.allowed,
            replace(access, address=self._access.address),
            (self._place.operation, self._request.id),
            ceiling=ceiling,
        )
        self.rates = decision.rates
        if isinstance(decision, Allowed):
            self.allowed = decision
            self.has_passed = True
        return decision

    def require(self, access: Access) -> Allowed:
        """`allow`, or leave the handler with the denial. Raises Refused."""
        decision = self.allow(access)
        if isinstance(decision, Denied):
            raise Refused(self.response(decision))
        return decision

    def response(self, denied: Denied) -> Response:
        """What this guard answers to a denial: status, headers and body."""
        return self._means.answers.refuse(denied, self._request)

    def unasked(self) -> Response:
        """The answer instead of one that a LATER handler gave without having been allowed to."""
        log.error("%s answered before key.allow(…) let it; 503 was sent instead", self._place.operation)
        return self._means.answers.fail(_UNASKED, self._request, rates=self.rates)

    def limit_headers(self) -> list[tuple[str, str]]:
        """What the handler's answer says of the limits that were charged."""
        return self._means.answers.limits(self.rates) if self.rates else []

    def __repr__(self) -> str:
        return f"<KeyState {self.key.id}>"
