"""Every refusal of the gateway: the one table from what went wrong to status, code and gateway code.

Denials come from the table of keyrack.core.http, and get their gateway code here. Nothing in an answer is
from an upstream or tells of its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from keyrack.core import http
from keyrack.core.errors import KeyrackError
from keyrack.core.http import ANSWERS, PROBLEM_TYPE, Answer, Response
from keyrack.core.model import Denied, Rate
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.guards.answers import refusal


class Refused(Enum):
    """What the gateway answers by itself, beside denials."""

    API_NOT_FOUND = Answer("api_not_found", 404, "API not found", "There is no such API, or version of it.")
    ENDPOINT_NOT_FOUND = Answer(
        "endpoint_not_found", 404, "Endpoint not found", "This API has no endpoint at this path."
    )
    METHOD_NOT_ALLOWED = Answer(
        "method_not_allowed", 405, "Method not allowed", "This endpoint does not take this method."
    )
    INTERNAL_ERROR = Answer("internal_error", 500, "Internal error", "This request failed here.")
    UPSTREAM_TIMEOUT = Answer(
        "upstream_timeout", 504, "Upstream timed out", "The upstream did not answer in time."
    )
    INVALID_REQUEST = Answer("invalid_request", 400, "Invalid request", "This request cannot be read.")
    API_DISABLED = Answer("api_disabled", 403, "API disabled", "This API is switched off at the moment.")
    UPSTREAM_UNREACHABLE = Answer(
        "upstream_unreachable",
        502,
        "Upstream unreachable",
        "The upstream gave no answer that can be passed on.",
    )
    UPSTREAM_REFUSED_KEY = Answer(
        "upstream_refused_key",
        502,
        "Upstream refused the key",
        "The upstream does not accept the key that it was sent; yours is in order.",
    )
    UPSTREAM_ECHOED_KEY = Answer(
        "upstream_echoed_key", 502, "Upstream echoed the key", "The answer of the upstream was withheld."
    )
    UPSTREAM_KEY_UNAVAILABLE = Answer(
        "upstream_key_unavailable",
        503,
        "Upstream key unavailable",
        "The key for the upstream cannot be used at the moment; nothing was sent.",
    )
    CIRCUIT_OPEN = Answer(
        "circuit_open", 503, "Circuit open", "The upstream has failed repeatedly. Try again shortly."
    )
    NOT_SUPPORTED = Answer("not_supported", 501, "Not supported", "The gateway does not carry web sockets.")


GATEWAY_CODES: Mapping[str, str] = {
    "api_not_found": "GTW001",
    "endpoint_not_found": "GTW003",
    "method_not_allowed": "GTW004",
    "internal_error": "GTW006",
    "credits_exhausted": "GTW008",
    "upstream_timeout": "GTW010",
    "invalid_request": "GTW011",
    "api_disabled": "GTW012",
    "insufficient_scope": "GTW013",
    "tenant_suspended": "GTW013",
    "ip_denied": "GTW013",
    "upstream_unreachable": "GTW015",
    "upstream_refused_key": "GTW016",
    "upstream_echoed_key": "GTW017",
    "upstream_key_unavailable": "GTW018",
    "circuit_open": "GTW999",
}
"""By public code; a code that is not here means the same as everywhere, and has none."""


class Refusals:
    """Writes the refusals of one gateway."""

    def __init__(self, *, realm: str):
        self._realm = realm

    def deny(self, denied: Denied, *, request_id: str, now: float) -> Response:
        """The response for a denial. `now` is in Unix seconds."""
        details = with_code(ANSWERS[denied.reason].code, denied.details)
        told = denied._replace(details=details)
        return refusal(told, realm=self._realm, request_id=request_id, now=now)

    def refuse(
        self,
        refused: Refused,
        *,
        request_id: str,
        now: float,
        rates: Sequence[Rate] = (),
        details: Mapping[str, Any] | None = None,
    ) -> Response:
        """The response for what is no denial, with the limits of the key that was charged."""
        answer = refused.value
        body = http.problem(answer, with_code(answer.code, details or {}), request_id)
        headers = (
            ("content-type", PROBLEM_TYPE),
            ("cache-control", "no-store"),
            ("x-request-id", request_id),
            *ratelimit_headers(rates, now),
            ("content-length", str(len(body))),
        )
        return Response(answer.status, headers, body)

    def fail(self, error: KeyrackError, *, request_id: str) -> Response:
        """The response for an error of the tree."""
        error.details = with_code(error.code, error.details)
        response = http.failure(error, request_id=request_id)
        length = ("content-length", str(len(response.body)))
        return response._replace(headers=(*response.headers, length))


def with_code(code: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Details with the gateway code of a public code, where it has one."""
    gateway_code = GATEWAY_CODES.get(code)
    return dict(details) if gateway_code is None else {**details, "gateway_code": gateway_code}
