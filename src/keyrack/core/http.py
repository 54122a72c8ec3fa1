"""Between HTTP and a decision: headers to a credential, and the one table from Reason to response.

Guards, server, gateway and docs read this table; nobody else knows a status or a code of a denial.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from keyrack.core.errors import KeyrackError, Unavailable
from keyrack.core.model import Denied, Reason

PROBLEM_TYPE = "application/problem+json"
QUERY_NAMES = frozenset({"api_key", "apikey", "key", "token", "access_token"})
"""Query parameters that people put keys into, where logs and histories keep them."""

_KEY_IN_PLAIN_QUERY = re.compile(
    rf"(?:\A|&)(?:{'|'.join(sorted(QUERY_NAMES))})(?:=|&|\Z)".encode(), re.IGNORECASE
)
"""The same where nothing is escaped: most queries, and read for each request."""

Presented = str | Reason
"""The text of the one credential in a request, or why there is not exactly one."""


class Answer(NamedTuple):
    """What the reason table says: public code, status, title and one sentence for the caller."""

    code: str
    status: int
    title: str
    detail: str


class Response(NamedTuple):
    """A response that every shape of Keyrack gives alike."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_INVALID = Answer("invalid_credentials", 401, "Invalid credentials", "The API key is not valid.")
_UNAVAILABLE = Answer(
    "unavailable", 503, "Unavailable", "API keys cannot be checked at the moment. Try again shortly."
)

ANSWERS: Mapping[Reason, Answer] = {
    Reason.MISSING: Answer(
        "missing_credentials",
        401,
        "Missing credentials",
        "Send an API key in `Authorization: Bearer …` or `X-API-Key`.",
    ),
    Reason.MALFORMED: _INVALID,
    Reason.UNKNOWN: _INVALID,
    Reason.REVOKED: Answer("key_revoked", 401, "Key revoked", "This API key was revoked for good."),
    Reason.DISABLED: Answer("key_disabled", 401, "Key disabled", "This API key is disabled."),
    Reason.EXPIRED: Answer("key_expired", 401, "Key expired", "This API key has expired."),
    Reason.RETIRED: Answer(
        "secret_retired", 401, "Secret retired", "This secret was rotated out; use the key's newest one."
    ),
    Reason.AMBIGUOUS: Answer(
        "ambiguous_credentials", 400, "Ambiguous credentials", "Send one credential, in one header."
    ),
    Reason.TENANT: Answer(
        "tenant_mismatch", 403, "Tenant mismatch", "This API key belongs to another tenant."
    ),
    Reason.SUSPENDED: Answer("tenant_suspended", 403, "Tenant suspended", "This tenant is suspended."),
    Reason.NETWORK: Answer(
        "ip_denied", 403, "Address denied", "This API key may not be used from your network address."
    ),
    Reason.SCOPE: Answer(
        "insufficient_scope", 403, "Insufficient scope", "This API key does not hold the scope this needs."
    ),
    Reason.CREDITS: Answer("credits_exhausted", 402, "Credits exhausted", "No credits are left."),
    Reason.RATE: Answer("rate_limited", 429, "Rate limited", "Too many requests; slow down."),
    Reason.UNCONFIGURED: _UNAVAILABLE,
    Reason.STORE_DOWN: _UNAVAILABLE,
    Reason.STALE: _UNAVAILABLE,
}


def extract(headers: Iterable[tuple[bytes, bytes]]) -> Presented:
    """The one credential among these headers (names in lower case, as ASGI gives them)."""
    found = [pair for pair in headers if pair[0] == b"x-api-key" or pair[0] == b"authorization"]
    if not found:
        return Reason.MISSING
    if len(found) > 1:
        return Reason.AMBIGUOUS
    name, value = found[0]
    text = value.decode("latin-1").strip(" \t")
    if name == b"authorization":
        scheme, _, text = text.partition(" ")
        if scheme.lower() != "bearer":
            return Reason.MISSING
        text = text.strip(" \t")
    return text or Reason.MISSING


def key_in_query(query: bytes) -> bool:
    """Whether a query string has a parameter that people put keys into."""
    if b"%" not in query and b"+" not in query:
        return _KEY_IN_PLAIN_QUERY.search(query) is not None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name.lower() in QUERY_NAMES for name, _ in pairs)


def denial(denied: Denied, *, realm: str, request_id: str) -> Response:
    """The response for a denial; limit headers are added by whoever knows the time."""
    answer = ANSWERS[denied.reason]
    headers = [("content-type", PROBLEM_TYPE), ("cache-control", "no-store")]
    if answer.status == 401:
        error = "" if denied.reason is Reason.MISSING else ', error="invalid_token"'
        headers.append(("www-authenticate", f'Bearer realm="{realm}"{error}'))
    if denied.retry_after is not None:
        headers.append(("retry-after", str(denied.retry_after)))
    headers.append(("x-request-id", request_id))
    return Response(answer.status, tuple(headers), problem(answer, denied.details, request_id))


def failure(error: KeyrackError, *, request_id: str) -> Response:
    """The response for an error of the tree."""
    answer = Answer(error.code, error.status, error.title, error.detail)
    if isinstance(error, Unavailable):
        answer = answer._replace(detail=f"{error.detail} Try again shortly.")
    headers = (
        ("content-type", PROBLEM_TYPE),
        ("cache-control", "no-store"),
        ("x-request-id", request_id),
    )
    return Response(answer.status, headers, problem(answer, error.details, request_id))


def problem(answer: Answer, details: Mapping[str, Any], request_id: str) -> bytes:
    """A problem document (RFC 9457) with the members code, details and request_id."""
    document = {
        "type": f"urn:keyrack:problem:{answer.code}",
        "title": answer.title,
        "status": answer.status,
        "detail": answer.detail,
        "code": answer.code,
        "details": dict(details),
        "request_id": request_id,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
