"""What the service answers when it does not do what was asked: one class for each answer of CI-10.

Services raise these; `middleware/errors.py` alone turns them into HTTP. No message quotes an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from examples.ci_results.enumerations import Role


class Problem(Exception):
    """An answer that is not a success. `code` is public API, `details` is always an object."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, **details: Any):
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class Invalid(Problem):
    """A parameter or the body is outside its rule."""

    status, code = 400, "validation_error"

    def __init__(self, message: str, *, fields: Mapping[str, Sequence[str]] | None = None):
        super().__init__(message, **({} if fields is None else {"fields": fields}))


class WrongType(Invalid):
    """The body is not of a type that this operation reads."""

    status = 415


class InvalidCredentials(Problem):
    """The e-mail and the password are not those of an account here."""

    status, code = 401, "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("The e-mail or the password is wrong.")


class Forbidden(Problem):
    """Known, and not allowed; `details.reason` says what is missing."""

    status, code = 403, "forbidden"

    def __init__(self, message: str, reason: str, **details: Any):
        super().__init__(message, reason=reason, **details)


class LacksRole(Forbidden):
    """Known, and of a role that may not (CI-28)."""

    def __init__(
        self, required: Sequence[Role], role: Role, message: str = "Somebody of this role may not do this."
    ):
        roles = [one.value for one in required]
        super().__init__(message, "insufficient_role", required_roles=roles, user_role=role.value)


class NotFound(Problem):
    """There is nothing of that id here, or not for whoever asks."""

    status, code = 404, "not_found"


class LogNotFound(NotFound):
    """There is such a run or sample, and no log of it."""

    code = "log_not_found"


class MissingOutput(NotFound):
    """The test reported without this output."""

    code = "missing_output"


class MethodNotAllowed(Problem):
    """The path has no such method."""

    status, code = 405, "method_not_allowed"


class Conflict(Problem):
    """The state does not allow it."""

    status, code = 409, "conflict"


class TooLarge(Problem):
    """The body is longer than this operation reads."""

    status, code = 413, "payload_too_large"


class Unprocessable(Problem):
    """Well formed, and cannot be done."""

    status, code = 422, "unprocessable"


class RateLimited(Problem):
    """Too many requests of one class; `details` has retry_after, limit and window."""

    status, code = 429, "rate_limited"

    def __init__(self, *, retry_after: int, limit: int, window: int):
        super().__init__("Too many requests; slow down.", retry_after=retry_after, limit=limit, window=window)


class Unavailable(Problem):
    """Our own trouble: something that is needed cannot be reached."""

    status, code = 503, "unavailable"
