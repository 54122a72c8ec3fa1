"""The signature of a webhook, after the Standard Webhooks specification (symmetric, `v1`).

HMAC-SHA-256 over `<webhook-id>.<webhook-timestamp>.<raw body>`, in base64. Nothing here reads a
clock, a setting or the meaning of the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from examples.coordinator.problems import InvalidSignature

SECRET_PREFIX = "whsec_"
MIN_SECRET_BYTES = 32
TOLERANCE = timedelta(seconds=300)
_ID = re.compile(r"[!-~]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook whose sender and time are proved. The body is the exact bytes that were signed."""

    id: str
    body: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """What tells two bodies apart."""
        return hashlib.sha256(self.body).hexdigest()


def parse_secret(text: str) -> bytes | None:
    """The key of `whsec_` + base64 of at least 32 bytes, or None when text is anything else."""
    if not text.startswith(SECRET_PREFIX):
        return None
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        return None
    return key if len(key) >= MIN_SECRET_BYTES else None


def sign(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    """The `v1` entry that a sender puts into `webhook-signature`."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def prove(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[bytes], now: datetime) -> Delivery:
    """The delivery that these headers prove. Raises InvalidSignature: first the form, then the signature,
    then the time."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(webhook_id) or not _TIMESTAMP.fullmatch(timestamp):
        raise InvalidSignature("headers")
    expected = [sign(secret, webhook_id, timestamp, body) for secret in secrets]
    if not _matches(expected, headers.get("webhook-signature", "").split(" ")):
        raise InvalidSignature("signature")
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        raise InvalidSignature("timestamp")
    return Delivery(webhook_id, body)


def _matches(expected: Iterable[str], given: Sequence[str]) -> bool:
    """Whether any given entry is an expected one; every pair is compared, whatever came before."""
    found = False
    for one in expected:
        for entry in given:
            found |= hmac.compare_digest(one.encode(), entry.encode())
    return found
