"""What the service answers when it does not do what was asked: one class for each answer.

Any part may raise these; `errors.py` alone turns them into HTTP. No detail quotes an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from keyrack import KeyrackError


class Problem(KeyrackError):
    """An answer that is not a success. `code` is public API, `details` is always an object."""

    def __init__(self, detail: str, **details: Any):
        super().__init__(detail, details=details)


class InvalidRequest(Problem):
    """The request is not one that this service reads."""

    status, code, title = 400, "invalid_request", "Invalid request"


class QuotaExhausted(Problem):
    """The tenant has used up its quota. Details: `type`, `limit`, `used`, `resetAt`."""

    status, code, title = 402, "credits_exhausted", "Quota exhausted"

    def __init__(self, *, type: str, limit: int, used: int, reset_at: datetime | None):  # noqa: A002  # the member's name
        reset = None if reset_at is None else written(reset_at)
        super().__init__(
            "The quota of this tenant is spent.", type=type, limit=limit, used=used, resetAt=reset
        )


class StreamsDenied(Problem):
    """The key may not read these streams, whether they exist or not. Details: `streams`."""

    status, code, title = 403, "insufficient_scope", "Insufficient scope"

    def __init__(self, streams: Sequence[str]):
        super().__init__("This API key may not read these streams.", streams=sorted(streams))


class NotFound(Problem):
    """There is no such thing in the caller's reach."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(Problem):
    """The path has no such method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class Conflict(Problem):
    """The state does not allow it."""

    status, code, title = 409, "conflict", "Conflict"


class PayloadTooLarge(Problem):
    """The body has more bytes than this service reads."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(Problem):
    """The body is not declared as what this operation reads."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class UnprocessableContent(Problem):
    """A value breaks its rule. Details: `fields`, each with its messages."""

    status, code, title = 422, "validation_error", "Validation error"

    def __init__(self, fields: Mapping[str, Sequence[str]]):
        names = ", ".join(sorted(fields))
        super().__init__(f"Please correct: {names}.", fields={name: list(fields[name]) for name in fields})


class QueryTooLarge(Problem):
    """A query needs more memory, or has more rows, than it may."""

    status, code, title = 422, "query_too_large", "Query too large"

    def __init__(self) -> None:
        super().__init__("The query needs more memory or has more rows than it may; ask for less.")


class TooManyQueries(Problem):
    """The key has as many queries running as it may at once."""

    status, code, title = 429, "rate_limited", "Rate limited"

    def __init__(self, most: int):
        super().__init__(f"A key runs at most {most} queries at once.", running=most)


class QueryEnded(Problem):
    """Somebody ended the session of the query."""

    status, code, title = 409, "query_ended", "Query ended"

    def __init__(self) -> None:
        super().__init__("The session of this query was ended.")


class NotImplementedHere(Problem):
    """The protocol has the operation, this service has not."""

    status, code, title = 501, "not_implemented", "Not implemented"


class QueryTimeout(Problem):
    """A query took longer than it may. Details: `seconds`."""

    status, code, title = 504, "query_timeout", "Query timeout"

    def __init__(self, seconds: float):
        super().__init__(f"The query took longer than {seconds:g} seconds.", seconds=seconds)


class InternalError(Problem):
    """A fault of ours; the log has its trace."""

    status, code, title = 500, "internal_error", "Internal error"


def written(at: datetime) -> str:
    """A time as answers show it: RFC 3339 in UTC with `Z`."""
    return at.isoformat().replace("+00:00", "Z")
