"""What a call raises: the engine's own errors, and a class for each way in which a key is refused.

KeyrackError
└── CallRefused: the key that the caller presented was refused
    ├── MissingCredentials 401   ├── SecretRetired 401          ├── InsufficientScope 403
    ├── InvalidCredentials 401   ├── AmbiguousCredentials 400   ├── CreditsExhausted 402
    ├── KeyRevoked 401           ├── TenantMismatch 403         └── RateLimited 429
    ├── KeyDisabled 401          ├── TenantSuspended 403
    └── KeyExpired 401           └── AddressDenied 403
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keyrack.core import errors
from keyrack.core.errors import (
    ConfigurationError,
    Conflict,
    KeyrackError,
    NotFound,
    NotHeld,
    Tampered,
    Unavailable,
    ValidationFailed,
)


class CallRefused(KeyrackError):
    """The caller's own key was refused. `retry_after` is in whole seconds, where waiting helps."""

    retry_after: int | None = None


class MissingCredentials(CallRefused):
    """No key was presented."""

    status, code, title = 401, "missing_credentials", "Missing credentials"


class InvalidCredentials(CallRefused):
    """The key is not known to this server."""

    status, code, title = 401, "invalid_credentials", "Invalid credentials"


class KeyRevoked(CallRefused):
    """The key was revoked for good."""

    status, code, title = 401, "key_revoked", "Key revoked"


class KeyDisabled(CallRefused):
    """The key is disabled."""

    status, code, title = 401, "key_disabled", "Key disabled"


class KeyExpired(CallRefused):
    """The key has expired."""

    status, code, title = 401, "key_expired", "Key expired"


class SecretRetired(CallRefused):
    """This secret of the key was rotated out."""

    status, code, title = 401, "secret_retired", "Secret retired"


class AmbiguousCredentials(CallRefused):
    """More than one credential was sent."""

    status, code, title = 400, "ambiguous_credentials", "Ambiguous credentials"


class TenantMismatch(CallRefused):
    """The key is of another tenant than the request names."""

    status, code, title = 403, "tenant_mismatch", "Tenant mismatch"


class TenantSuspended(CallRefused):
    """The key's tenant is suspended."""

    status, code, title = 403, "tenant_suspended", "Tenant suspended"


class AddressDenied(CallRefused):
    """The key may not be used from here."""

    status, code, title = 403, "ip_denied", "Address denied"


class InsufficientScope(CallRefused):
    """The key lacks a scope; `details.missing_scopes` names those."""

    status, code, title = 403, "insufficient_scope", "Insufficient scope"


class CreditsExhausted(CallRefused):
    """No credits are left."""

    status, code, title = 402, "credits_exhausted", "Credits exhausted"


class RateLimited(CallRefused):
    """Too many requests; `retry_after` says when there is room again."""

    status, code, title = 429, "rate_limited", "Rate limited"


REFUSALS: Mapping[tuple[str, int], type[CallRefused]] = {
    (kind.code, kind.status): kind for kind in CallRefused.__subclasses__()
}
FAILURES: Mapping[str, type[KeyrackError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, KeyrackError)
}
"""The engine's own; each is made of what the server said of it."""


def error_of(status: int, problem: Mapping[str, Any], *, retry_after: int | None = None) -> KeyrackError:
    """The error that a problem document (RFC 9457) of a server stands for.

    One class for each code; the named codes of 404, 409 and 422 are of one class each, with that code.
    """
    code, details = str(problem.get("code", "")), dict(problem.get("details") or {})
    detail = str(problem.get("detail") or f"The server answered {status}.")
    error = _make(status, code, detail, details)
    if isinstance(error, CallRefused):
        error.retry_after = retry_after
    if problem.get("request_id"):
        error.add_note(f"request {problem['request_id']}")
    return error


def _make(status: int, code: str, detail: str, details: dict[str, Any]) -> KeyrackError:
    special = _SPECIAL.get(code)
    if special is not None and (made := special(detail, details)) is not None:
        return made
    refusal = REFUSALS.get((code, status))
    if refusal is not None:
        return refusal(detail, details=details)
    general = _NAMED.get(status, KeyrackError)
    kind = FAILURES.get(code, general)
    if not issubclass(kind, general):
        kind = general
    # Each has a constructor for whoever finds something wrong; here somebody else found it.
    error = kind.__new__(kind)
    KeyrackError.__init__(error, detail, code=code or None, details=details)
    return error


def _not_held(detail: str, details: dict[str, Any]) -> KeyrackError | None:
    """What would be granted beyond what is held; the same code without these names is a refusal."""
    return NotHeld(details["not_held"]) if "not_held" in details else None


_NAMED: Mapping[int, type[KeyrackError]] = {404: NotFound, 409: Conflict, 422: ValidationFailed}
"""The statuses with named codes, and the class of all of them."""
_SPECIAL: Mapping[str, Callable[[str, dict[str, Any]], KeyrackError | None]] = {
    "insufficient_scope": _not_held,
    "validation_error": lambda detail, details: ValidationFailed(details.get("fields", {})),
    "unavailable": lambda detail, details: Unavailable(detail),
    "store_tampered": lambda detail, details: Tampered(detail),
    "configuration_error": lambda detail, details: ConfigurationError("The server", detail),
}
"""Errors that are made of something else than a sentence."""
