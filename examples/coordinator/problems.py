"""What the service answers when it does not do what was asked: one class for each answer.

The state machine, the records and the routes raise these; `answers.py` alone turns them into HTTP.
No detail quotes an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Problem(Exception):
    """An answer that is not a success. `code` is public API, `details` is always an object."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str, **details: Any):
        super().__init__(detail)
        self.detail = detail
        self.details = details


class InvalidRequest(Problem):
    """The body is not JSON that this service reads."""

    status, code, title = 400, "invalid_request", "Invalid request"


class InvalidSignature(Problem):
    """The signature of a webhook is missing, wrong or too old; which of them is for the log alone."""

    status, code, title = 401, "invalid_signature", "Invalid signature"

    def __init__(self, reason: str):
        super().__init__("The webhook signature is missing, wrong or too old.")
        self.reason = reason


class NotFound(Problem):
    """There is no job of that id."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(Problem):
    """The path has no such method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"

    def __init__(self) -> None:
        super().__init__("This path has no such method.")


class Conflict(Problem):
    """The same was asked before, and differently."""

    status, code, title = 409, "conflict", "Conflict"


class InvalidTransition(Conflict):
    """The job's status does not allow the action. Details: `from`, `action`, `allowed`."""

    code, title = "invalid_transition", "Invalid transition"


class ProgressRegression(Conflict):
    """Progress would fall within an attempt. Details: `current`, `given`."""

    code, title = "progress_regression", "Progress regression"


class PayloadTooLarge(Problem):
    """The body has more bytes than this service reads."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class ValidationFailed(Problem):
    """A field breaks its rule. Details: `fields`, each with its messages."""

    status, code, title = 422, "validation_error", "Validation error"

    def __init__(self, fields: Mapping[str, Sequence[str]]):
        super().__init__(f"Please correct: {', '.join(sorted(fields))}.", fields=dict(fields))


class Unavailable(Problem):
    """Our own trouble: the database cannot be used, or the operation is switched off."""

    status, code, title = 503, "unavailable", "Unavailable"
