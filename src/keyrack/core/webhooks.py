"""Who is told what by HTTP, and how a message is signed: the form of Standard Webhooks 1.0.

https://github.com/standard-webhooks/standard-webhooks: three headers, HMAC-SHA-256, secrets `whsec_…`.
"""

from __future__ import annotations

import hmac
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from keyrack.core.errors import ConfigurationError

SETTING = "KEYRACK_WEBHOOKS"
SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
"""How many bytes a secret may have: those of the standard."""
_MEMBERS = {"name", "url", "secret", "tenant", "events"}
_NEEDED = {"name", "url", "secret"}


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that is told of signals."""

    name: str
    url: str
    secret: bytes = field(repr=False)
    tenant: str | None = None
    """Whose signals it is told; None is everybody's."""
    events: tuple[str, ...] = ("*",)
    """Which: names, or patterns such as `rotation.*`."""

    def wants(self, kind: str, tenant: str) -> bool:
        """Whether it is told of a signal of this kind and tenant."""
        return self.tenant in (None, tenant) and any(fnmatchcase(kind, one) for one in self.events)

    def headers(self, message: str, body: bytes, *, at: int) -> dict[str, str]:
        """The headers of a message; `at` is when it is sent, in Unix seconds."""
        code = hmac.digest(self.secret, f"{message}.{at}.".encode() + body, "sha256")
        return {
            "Content-Type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{b64encode(code).decode()}",
        }


class Webhooks:
    """The webhooks of a process, by name."""

    __slots__ = ("_by_name",)

    def __init__(self, webhooks: tuple[Webhook, ...] = ()):
        self._by_name = {one.name: one for one in webhooks}
        if len(self._by_name) != len(webhooks):
            raise ConfigurationError(SETTING, "names one webhook twice.")

    @classmethod
    def read(cls, text: str) -> Webhooks:
        """The webhooks of a TOML text, in tables `[[webhook]]`. Raises ConfigurationError, which quotes no
        secret."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            # The message of the parser may quote the line that it stumbled over.
            raise ConfigurationError(SETTING, "is not TOML.") from None
        listed = table.get("webhook", [])
        if set(table) - {"webhook"} or not isinstance(listed, list):
            raise ConfigurationError(SETTING, "must hold tables [[webhook]] and nothing else.")
        return cls(tuple(_webhook(one) for one in listed))

    def get(self, name: str) -> Webhook | None:
        """The webhook of this name."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Webhook]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def _webhook(table: Mapping[str, Any]) -> Webhook:
    if not isinstance(table, dict) or set(table) - _MEMBERS or _NEEDED - set(table):
        raise ConfigurationError(
            SETTING, "each [[webhook]] has name, url, secret, and if need be tenant, events."
        )
    name, events = table["name"], table.get("events", ["*"])
    texts = (name, table["url"], table["secret"], table.get("tenant", ""))
    if not all(isinstance(one, str) for one in texts) or not name:
        raise ConfigurationError(SETTING, "name, url, secret and tenant must be texts.")
    if not isinstance(events, list) or not all(isinstance(one, str) for one in events):
        raise ConfigurationError(SETTING, f"events of {name!r} must be a list of names or patterns.")
    _require_url(name, table["url"])
    return Webhook(name, table["url"], _secret(name, table["secret"]), table.get("tenant"), tuple(events))


def _require_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise ConfigurationError(SETTING, f"url of {name!r} must be http(s)://host/path, without a password.")


def _secret(name: str, text: str) -> bytes:
    try:
        secret = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(SECRET_PREFIX) or len(secret) not in SECRET_BYTES:
        raise ConfigurationError(
            SETTING, f"secret of {name!r} must be `whsec_` and 24 to 64 bytes in base64."
        )
    return secret
