"""What a guard answers by itself: the one table of core.http, the limit headers, and errors.

A service may give refusals a body of its own; it never changes their status or the table's headers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from keyrack.core import http
from keyrack.core.errors import ConfigurationError, KeyrackError
from keyrack.core.http import Response
from keyrack.core.model import Denied, Rate
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.guards.request import Request

Pairs = Sequence[tuple[str, str]]
Respond = Callable[[Denied, Request], tuple[Pairs, bytes]]
"""Gives a refusal another body: its headers (`Content-Type` …) and the body itself."""

LIMIT_HEADERS = frozenset(
    {"ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
)
OWN_HEADERS = LIMIT_HEADERS | {"x-request-id"}
"""What a guard says on every answer, whatever the service said."""
_FIXED = OWN_HEADERS | {"cache-control", "retry-after", "www-authenticate"}
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})

log = logging.getLogger("keyrack.guards")


def refusal(denied: Denied, *, realm: str, request_id: str, now: float) -> Response:
    """The response for a denial, with its limit headers and its length. `now` is in Unix seconds."""
    response = http.denial(denied, realm=realm, request_id=request_id)
    return _finished(response, ratelimit_headers(denied.rates, now))


class Answers:
    """Writes the answers of one guard."""

    def __init__(self, *, realm: str, respond: Respond | None, clock: Callable[[], float]):
        if not realm.isascii() or not realm.isprintable() or set(realm) & set('"\\'):
            raise ConfigurationError("realm", "is printable ASCII without quotes and backslashes.")
        self._realm = realm
        self._respond = respond
        self._clock = clock

    def refuse(self, denied: Denied, request: Request) -> Response:
        """The response for a denial, in the service's own words if it has any."""
        response = refusal(denied, realm=self._realm, request_id=request.id, now=self._clock())
        return response if self._respond is None else _reworded(response, self._respond, denied, request)

    def fail(
        self, error: KeyrackError, request: Request, *, rates: Sequence[Rate] = (), headers: Pairs = ()
    ) -> Response:
        """The response for an error."""
        response = http.failure(error, request_id=request.id)
        return _finished(response, [*headers, *ratelimit_headers(rates, self._clock())])

    def limits(self, rates: Sequence[Rate]) -> list[tuple[str, str]]:
        """The headers that the answer of a service gets from its guard."""
        return ratelimit_headers(rates, self._clock())


def _reworded(response: Response, respond: Respond, denied: Denied, request: Request) -> Response:
    try:
        headers, body = respond(denied, request)
    except Exception:  # a fault in the wording must not turn a refusal into anything else
        log.exception("respond failed; the refusal was sent in its default form")
        return response
    fixed = [pair for pair in response.headers if pair[0] in _FIXED]
    own = [(name.lower(), value) for name, value in headers if name.lower() not in _FIXED | _FRAMING]
    return _finished(Response(response.status, (*fixed, *own), body), ())


def _finished(response: Response, headers: Iterable[tuple[str, str]]) -> Response:
    length = ("content-length", str(len(response.body)))
    return response._replace(headers=(*response.headers, *headers, length))
