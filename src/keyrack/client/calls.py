"""Calls to a server over HTTP: JSON in, JSON out, tried again only where that can do no harm."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpx

from keyrack.client.errors import error_of
from keyrack.core.errors import ConfigurationError, KeyrackError, Unavailable

DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_RETRIES = 2
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
MAX_CONNECTIONS = 20
URL = "url"
LINES = "application/x-ndjson"

Query = Mapping[str, str | int | float | None]
Pause = Callable[[float], object]
_never = threading.Event()
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Nothing reached the server, so that whatever was asked can be asked again."""
_PASSING = frozenset({502, 503, 504})
"""What a server, or a proxy before it, answers while it cannot."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to be made. `again` says that doing it twice is doing it once."""

    method: str
    path: str
    body: Any = field(default=None, repr=False)
    query: Query = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    again: bool = False
    read_seconds: float | None = None
    """How long the server may take for it, where that is longer than the usual timeout."""


class Calls:
    """Makes calls to one server with one key, over connections that stay open. Safe for threads.

    Raises ConfigurationError for a URL that is none, or that would send the key in the clear.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retries: int = DEFAULT_RETRIES,
        transport: httpx.BaseTransport | None = None,
        pause: Pause = _never.wait,
    ):
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        base = _checked(url)
        self._client = httpx.Client(
            base_url=base,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
            follow_redirects=False,
            # HTTP_PROXY would be told the key in the clear; http goes to this machine, and straight.
            trust_env=base.scheme == "https",
            transport=transport,
        )

    def __call__(self, call: Call) -> Any:
        """The JSON of the answer, a list where it has one a line; None where there is no body.

        Raises KeyrackError, of one class a code.
        """
        tried = 0
        while True:
            outcome = self._attempt(call)
            if not isinstance(outcome, _Failed):
                return _read(outcome)
            if not (outcome.unsent or (call.again and outcome.passes)) or tried >= self._retries:
                raise outcome.error
            self._pause(_backoff(tried))
            tried += 1

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _attempt(self, call: Call) -> httpx.Response | _Failed:
        timeout = httpx.Timeout(self._timeout, read=max(self._timeout, call.read_seconds or 0.0))
        query = {name: value for name, value in call.query.items() if value is not None}
        try:
            answer = self._client.request(
                call.method,
                call.path,
                json=call.body,
                params=query,
                headers=dict(call.headers),
                timeout=timeout,
            )
        except httpx.HTTPError as error:
            # Only the kind: the text of some of them quotes what was sent.
            trouble = Unavailable(f"The server cannot be reached: {type(error).__name__}.")
            return _Failed(trouble, unsent=isinstance(error, _UNSENT), passes=True)
        if answer.status_code < 300:
            return answer
        return _Failed(_error(answer), unsent=False, passes=answer.status_code in _PASSING)


@dataclass(frozen=True, slots=True)
class _Failed:
    """An attempt that gave no answer to return."""

    error: KeyrackError
    unsent: bool
    passes: bool
    """Whether it is likely to go better soon."""


def _read(answer: httpx.Response) -> Any:
    if answer.headers.get("content-type", "").startswith(LINES):
        return [json.loads(line) for line in answer.text.splitlines()]
    return answer.json() if answer.content else None


def _error(answer: httpx.Response) -> KeyrackError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    wait = answer.headers.get("retry-after", "")
    retry_after = int(wait) if wait.isdecimal() else None
    if not isinstance(problem, dict) or "code" not in problem:
        # A proxy's own page, or a server that is no Keyrack.
        return Unavailable(f"The server answered {answer.status_code}, and not as Keyrack does.")
    return error_of(answer.status_code, problem, retry_after=retry_after)


def _backoff(tried: int) -> float:
    """Seconds to wait before another attempt; drawn, so that many callers do not come back as one."""
    most = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tried)
    return random.uniform(most / 2, most)  # noqa: S311 - nothing is secret about it


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ConfigurationError(URL, "is none.") from None
    if not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError(URL, "is https://host, perhaps with a port and a path, and nothing else.")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(parsed.host)):
        raise ConfigurationError(URL, "must begin with https://; http:// is for this machine alone.")
    return parsed


def is_loopback(host: str) -> bool:
    """Whether this is a name of the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
