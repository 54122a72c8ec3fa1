"""The guard for WSGI (PEP 3333): the same decisions and the same answers as for ASGI.

A handler finds the key in `environ["keyrack.key"]`. WSGI servers join repeated headers with commas, so
a comma in a credential header counts as several credentials; a key of foreign form with a comma in it
cannot be presented here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from types import TracebackType
from typing import Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from keyrack.core.http import Response
from keyrack.deciding import Decides
from keyrack.guards.answers import OWN_HEADERS
from keyrack.guards.decision import Decider, Options
from keyrack.guards.key_state import KeyState
from keyrack.guards.paths import is_plainly_encoded
from keyrack.guards.request import Request, read_request
from keyrack.guards.rows import Row

KEY = "keyrack.key"
REQUEST_ID = "keyrack.request_id"

_CREDENTIALS = frozenset({"HTTP_AUTHORIZATION", "HTTP_X_API_KEY"})

Pairs = list[tuple[str, str]]
Write = Callable[[bytes], object]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None


class Guard:
    """An application with a guard in front; the arguments are those of keyrack.guards.asgi.Guard.

    Rows are relative to SCRIPT_NAME, as PATH_INFO is.
    """

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Decides | None,
        rows: Iterable[Row],
        **options: Unpack[Options],
    ):
        self._app = app
        self._decider = Decider(verifier, rows, **options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], _plain_path(environ)
        place = self._decider.table.find(method, path)
        if place is not None and place.is_open:
            return self._app(environ, start_response)
        found = self._decider.decide(place, _request(method, path, environ))
        if isinstance(found, Response):
            return _answer(found, method, start_response)
        environ[KEY], environ[REQUEST_ID] = found, found.request_id
        if found.has_passed:
            return self._app(environ, _adding(found, start_response))
        held = _Held(found, method, start_response)
        return held.stream(self._app(environ, held.start))


class _Held:
    """Holds back the start of an answer until its body begins: so long a LATER handler may still ask."""

    def __init__(self, key: KeyState, method: str, start_response: StartResponse):
        self._key = key
        self._method = method
        self._start_response = start_response
        self._start: tuple[str, Pairs] | None = None
        self._write: Write = _discard
        self._is_released = False
        self._replacement: Iterable[bytes] | None = None

    def start(self, status: str, headers: Pairs, exc_info: ExcInfo = None, /) -> Write:
        if self._replacement is not None:
            return _discard
        if self._is_released:
            # The headers are out, so the server raises what the application could not handle.
            return self._start_response(status, headers, exc_info)
        self._start = (status, headers)
        return self._write_first

    def stream(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The body of the answer, or of what replaces it."""
        try:
            yield from self._checked(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _checked(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in body:
            self._release()
            if self._replacement is not None:
                break
            yield chunk
        self._release()
        yield from self._replacement or ()

    def _release(self) -> None:
        if self._start is None:
            return
        (status, headers), self._start = self._start, None
        self._is_released = True
        if int(status[:3]) < 400 and not self._key.has_passed:
            self._replacement = _answer(self._key.unasked(), self._method, self._start_response)
        else:
            self._write = self._start_response(status, _completed(headers, self._key))

    def _write_first(self, data: bytes) -> None:
        self._release()
        self._write(data)


def _discard(data: bytes) -> None:
    """What a replaced handler writes goes nowhere."""


def _plain_path(environ: WSGIEnvironment) -> str:
    """The path as frameworks route it, or an empty one if it is written in an odd way."""
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if not is_plainly_encoded(raw.partition("?")[0].encode("latin-1", "replace")):
        return ""
    path: str = environ.get("PATH_INFO", "")
    try:
        return path if path.isascii() else path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return ""


def _request(method: str, path: str, environ: WSGIEnvironment) -> Request:
    headers = [pair for name, value in environ.items() if name[:5] == "HTTP_" for pair in _pairs(name, value)]
    query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    return read_request(method, path, query, headers, environ.get("REMOTE_ADDR") or None)


def _pairs(name: str, value: str) -> Iterator[tuple[bytes, bytes]]:
    """A variable as header lines; of a credential one for each that the server may have joined."""
    line = name[5:].replace("_", "-").lower().encode("latin-1", "replace")
    for part in value.split(",") if name in _CREDENTIALS else (value,):
        yield line, part.encode("latin-1", "replace")


def _adding(key: KeyState, start_response: StartResponse) -> StartResponse:
    def starting(status: str, headers: Pairs, exc_info: ExcInfo = None, /) -> Write:
        return start_response(status, _completed(headers, key), exc_info)

    return starting


def _completed(headers: Pairs, key: KeyState) -> Pairs:
    """The headers of an answer with the guard's in place of any that the app gave by those names."""
    kept = [pair for pair in headers if pair[0].lower() not in OWN_HEADERS]
    if not any(name.lower() == "cache-control" for name, _ in kept):
        kept.append(("cache-control", "no-store"))
    return [*kept, *key.limit_headers(), ("x-request-id", key.request_id)]


def _answer(response: Response, method: str, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(response.headers))
    return () if method == "HEAD" else (response.body,)
