"""The headers that tell an application whose request it gets: all of them always, empty if need be."""

from __future__ import annotations

from functools import lru_cache

from keyrack.core.http import header_safe
from keyrack.core.model import Allowed
from keyrack.core.ratelimit_headers import ratelimit_headers
from keyrack.server.wire import Encoded, encoded


def identity_headers(allowed: Allowed, request_id: str, now: float) -> Encoded:
    """The identity, the id of the request and the limits of its key. `now` is in Unix seconds."""
    key = allowed.key
    identity = _identity(key.id, key.tenant, key.owner or "", allowed.scopes)
    headers = [*identity, (b"x-request-id", request_id.encode())]
    if allowed.rates:
        headers += encoded(ratelimit_headers(allowed.rates, now))
    return headers


def nobody(tenant: str, request_id: str) -> Encoded:
    """The same for a request without a key, which a public API of this tenant takes."""
    return [*_identity("", tenant, "", ()), (b"x-request-id", request_id.encode())]


@lru_cache(maxsize=10_000)
def _identity(key_id: str, tenant: str, owner: str, scopes: tuple[str, ...]) -> Encoded:
    return encoded(
        (
            ("x-keyrack-key-id", key_id),
            ("x-keyrack-tenant", header_safe(tenant)),
            ("x-keyrack-user", header_safe(owner)),
            ("x-keyrack-scopes", " ".join(scopes)),
            ("cache-control", "no-store"),
        )
    )
