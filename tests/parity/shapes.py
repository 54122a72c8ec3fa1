"""The ways to be refused by Keyrack, each as a shape that the parity tests put the same cases to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from guards.bed import Answer, call_asgi, call_wsgi

from keyrack import Verifier
from keyrack.guards import Row, asgi, wsgi

Headers = Sequence[tuple[str, str]]
REALM = "parity"


class Case(NamedTuple):
    """One request: a credential at a row, from an address."""

    row: Row
    headers: Headers
    peer: str | None


class Shape(Protocol):
    """Something that stands on a verifier and decides.

    `open` puts it in front of the verifier under the realm `parity`; `ask` sends a case and gives the
    answer of whoever refused, or a status below 400. What the transport adds (`date`, `server`) is no
    part of an answer.
    """

    def open(self, verifier: Verifier | None) -> None: ...

    def ask(self, case: Case) -> Answer: ...


class AsgiGuard:
    """The library in front of an ASGI application."""

    def open(self, verifier: Verifier | None) -> None:
        self._verifier = verifier

    def ask(self, case: Case) -> Answer:
        guard = asgi.Guard(_asgi_app, self._verifier, [case.row], realm=REALM)
        return call_asgi(guard, case.row.method, case.row.path, case.headers, peer=case.peer)


class WsgiGuard:
    """The library in front of a WSGI application."""

    def open(self, verifier: Verifier | None) -> None:
        self._verifier = verifier

    def ask(self, case: Case) -> Answer:
        guard = wsgi.Guard(_wsgi_app, self._verifier, [case.row], realm=REALM)
        return call_wsgi(guard, case.row.method, case.row.path, case.headers, peer=case.peer)


SHAPES: dict[str, Callable[[], Shape]] = {"asgi": AsgiGuard, "wsgi": WsgiGuard}
"""Every shape by name. The first is the one that the others are compared with."""


async def _asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"passed"})


def _wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"passed"]
