"""What can go wrong that is not a denial: one tree, each class with its public code and status.

KeyrackError
├── InvalidRequest 400    ├── Conflict 409 (or a named one)   ├── ValidationFailed 422
├── NotHeld 403           │   ├── StoreExists                 ├── Unavailable 503
├── SecretDated 403       │   └── StoreMoved                  │   ├── Corrupted (names the object)
├── SessionPresented 403  ├── PreconditionFailed 412          │   └── Unsealable (the store is well)
├── NotFound 404          ├── PayloadTooLarge 413             ├── Tampered (nothing is decided from it)
└── MethodNotAllowed 405  └── UnsupportedMediaType 415        └── ConfigurationError (exit code 78;
                                                                  names the setting, never its value)

No message carries a credential: whoever raises one of these writes a sentence, not an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class KeyrackError(Exception):
    """The root of the tree. `code` is stable public API, `details` is always an object."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str, *, code: str | None = None, details: Mapping[str, Any] | None = None):
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.details: dict[str, Any] = dict(details or {})


class InvalidRequest(KeyrackError):
    """The request cannot be read: malformed JSON, a bad cursor, a key in the query string."""

    status, code, title = 400, "invalid_request", "Invalid request"


class NotHeld(KeyrackError):
    """The caller would grant, or do, more than it holds. `details.not_held` names what."""

    status, code, title = 403, "insufficient_scope", "Insufficient scope"

    def __init__(self, not_held: Sequence[str]):
        names = ", ".join(not_held)
        super().__init__(
            f"Nobody grants more than they hold; you do not hold: {names}.",
            details={"not_held": list(not_held)},
        )


class SecretDated(KeyrackError):
    """A secret that is being rotated out was used to change its own key."""

    status, code, title = 403, "secret_dated", "Secret is being rotated out"


class SessionPresented(KeyrackError):
    """A session token was presented where only the key itself will do: for changes, and for a session."""

    status, code, title = 403, "session_presented", "Session presented"


class NotFound(KeyrackError):
    """There is nothing of that id in the caller's reach; `code` is `not_found` or a named one."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(KeyrackError):
    """The path is known, the method is not; the answer's `Allow` names those that are."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class Conflict(KeyrackError):
    """The state does not allow it; `code` is `conflict` or a named one such as `name_taken`."""

    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(KeyrackError):
    """`If-Match` named an older revision."""

    status, code, title = 412, "precondition_failed", "Precondition failed"


class ValidationFailed(KeyrackError):
    """A value is outside its rule; `code` is `validation_error` or a named one such as `grace_out_of_range`.

    `details.fields` maps each field to its messages.
    """

    status, code, title = 422, "validation_error", "Validation error"

    def __init__(self, fields: Mapping[str, Sequence[str]], *, code: str | None = None):
        names = ", ".join(sorted(fields))
        details = {"fields": {name: list(messages) for name, messages in fields.items()}}
        super().__init__(f"Please correct: {names}.", code=code, details=details)


class PayloadTooLarge(KeyrackError):
    """The body is longer than this server reads."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(KeyrackError):
    """The body is not declared as JSON."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class Unavailable(KeyrackError):
    """Our own trouble: the store cannot be read or written, or nothing is configured."""

    status, code, title = 503, "unavailable", "Unavailable"

    def __init__(self, detail: str, *, reason: str = "store_down"):
        super().__init__(detail)
        self.reason = reason


class Corrupted(Unavailable):
    """An object of the store is missing, or is not what was written there. Names its path, never its text."""

    def __init__(self, path: str, what: str):
        super().__init__(f"{path} {what}.")
        self.path = path


class Unsealable(Unavailable):
    """A secret can be neither sealed nor opened here: there is no master key, or not the one it is under.

    It is the trouble of whoever asked for that secret, and of nobody who changes something else.
    """


class StoreExists(Conflict):
    """`init` met a store that is already there; nothing was changed."""

    code, title = "store_exists", "Store exists"


class StoreMoved(Conflict):
    """The store was closed and goes on elsewhere; the detail says where."""

    code, title = "store_moved", "Store moved"

    def __init__(self, where: str):
        super().__init__(f"This store was moved to {where}; go on there.")


class Tampered(KeyrackError):
    """Something in the store does not authenticate: it was altered, reordered or put back."""

    code, title = "store_tampered", "Store does not authenticate"

    def __init__(self, detail: str, *, number: int | None = None):
        super().__init__(detail)
        self.number = number


class ConfigurationError(KeyrackError):
    """A setting is missing or wrong; a process that starts with it ends with exit code 78."""

    code, title = "configuration_error", "Configuration error"

    def __init__(self, setting: str, detail: str):
        super().__init__(f"{setting}: {detail}")
        self.setting = setting
