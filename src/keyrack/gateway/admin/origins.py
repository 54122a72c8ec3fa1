"""Where requests may be sent: the URLs of servers, and their origins as `scheme://host:port`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

from keyrack.core import fields

MAX_URL = 500
_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")
_PRINTABLE = re.compile(r"[!-~]+")


def server(value: object, field: str) -> str:
    """The URL of a server, perhaps with a path that everything is sent below. Raises ValidationFailed."""
    parts = _split(value)
    path = parts.path.removesuffix("/") if parts else ""
    if parts is None or _PATH.fullmatch(path) is None or {".", ".."} & set(path.split("/")):
        raise fields.refuse(field, "Give http:// or https://, a host, perhaps a port and a plain path.")
    return f"{_origin(parts)}{path}"


def origin(value: object, field: str) -> str:
    """One origin, with its port. Raises ValidationFailed."""
    parts = _split(value)
    if parts is None or parts.path not in ("", "/"):
        raise fields.refuse(field, "Give scheme://host:port, such as `https://api.example:443`.")
    return _origin(parts)


def origins_of(servers: Iterable[str]) -> tuple[str, ...]:
    """The origins of URLs that `server` made, sorted, each once."""
    return tuple(sorted({_origin(urlsplit(one)) for one in servers}))


def _split(value: object) -> SplitResult | None:
    """The parts of a URL of scheme, host, port and path alone; None for any other text."""
    if not isinstance(value, str) or len(value) > MAX_URL or _PRINTABLE.fullmatch(value) is None:
        return None
    parts = _parsed(value)
    if parts is None or parts.scheme not in _PORTS or "@" in parts.netloc or "\\" in value:
        return None
    bare = "?" not in value and "#" not in value and not parts.netloc.endswith(":")
    return parts if bare and _is_host(parts.hostname or "") else None


def _parsed(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        return parts if parts.port != 0 else None
    except ValueError:  # brackets that are no IPv6 address, or a port that is no number
        return None


def _is_host(host: str) -> bool:
    """A name, or an address in its usual form: no other way to write one that resolvers understand."""
    labels = host.removesuffix(".").split(".")
    if ":" in host:
        return _is_address(host, IPv6Address)
    if labels[-1][:1].isdigit():
        return _is_address(host, IPv4Address)
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_address(host: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    try:
        kind(host)
    except ValueError:
        return False
    return "%" not in host


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
