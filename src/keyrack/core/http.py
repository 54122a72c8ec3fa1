"""Between HTTP and a decision: headers to a credential, and the one table from Reason to response.

Guards, server, gateway and docs read this table; nobody else knows a status or a code of a denial.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from keyrack.core.errors import KeyrackError, Unavailable
from keyrack.core.model import Denied, Reason

PROBLEM_TYPE = "application/problem+json"
QUERY_NAMES = frozenset({"api_key", "apikey", "key", "token", "access_token"})
"""Query parameters that people put keys into, where logs and histories keep them."""

KEY_IN_QUERY = "Send the key in a header: query strings end up in logs and histories."

_KEY_IN_PLAIN_QUERY = re.compile(rf"(?:\A|&)(?:{'|'.join(sorted(QUERY_NAMES))})(?:=|&|\Z)".encode())
"""The same where nothing is escaped: most queries, and read for each request."""
_NOT_PLAIN = re.compile(r"%|[^ -~]|\A | \Z")

Presented = str | Reason
"""The text of the one credential in a request, or why there is not exactly one."""


Lines = Sequence[tuple[bytes, bytes]]
"""Header lines as ASGI gives them: names in lower case, one pair for each line."""

Headers = Lines | dict[bytes, bytes]
"""The same, or by name where no name stands twice: see `by_name`."""


CREDENTIAL_HEADERS = (b"authorization", b"x-api-key")


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


def by_name(lines: Lines) -> Headers:
    """Header lines by their names if each name stands once, which is quicker to read; else as they are."""
    named = dict(lines)
    return named if len(named) == len(lines) else lines


def values(headers: Headers, name: bytes) -> Sequence[bytes]:
    """The values of all lines of that name, in their order."""
    if isinstance(headers, dict):
        return (headers[name],) if name in headers else ()
    return [value for known, value in headers if known == name]


def extract(headers: Headers) -> Presented:
    """The one credential among these headers."""
    if not isinstance(headers, dict):
        found = [pair for pair in headers if pair[0] in CREDENTIAL_HEADERS]
        headers = dict(found)
        if len(headers) < len(found):
            return Reason.AMBIGUOUS
    bearer, plain = headers.get(b"authorization"), headers.get(b"x-api-key")
    if bearer is None:
        return Reason.MISSING if plain is None else plain.decode("latin-1").strip(" \t") or Reason.MISSING
    return Reason.AMBIGUOUS if plain is not None else _bearer(bearer.decode("latin-1").strip(" \t"))


def key_in_query(query: bytes) -> bool:
    """Whether a query string has a parameter that people put keys into."""
    if b"%" not in query:
        lowered = query.lower()
        # Every name has one of these in it; looking for them first spares most queries the pattern.
        return (b"key" in lowered or b"token" in lowered) and _KEY_IN_PLAIN_QUERY.search(lowered) is not None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name.lower() in QUERY_NAMES for name, _ in pairs)


def header_safe(text: str) -> str:
    """A name as a header can hold it, so that no two names look alike there.

    Percent-encoded (UTF-8) are `%`, what is beyond visible ASCII, and a blank at either end.
    """
    return _NOT_PLAIN.sub(lambda found: quote(found[0], safe=""), text)


def _bearer(text: str) -> Presented:
    scheme, _, text = text.partition(" ")
    if scheme != "Bearer" and scheme.lower() != "bearer":
        return Reason.MISSING
    return text.strip(" \t") or Reason.MISSING


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
