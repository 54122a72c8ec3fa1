"""Where the time goes, for what misses its target: functions by their own time."""

from __future__ import annotations

import asyncio
import cProfile
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from types import CodeType

from bench.load import Request
from keyrack.server.wire import App, Message, Scope

SHOWN = 20
CALLS = 2000


def of_call(function: Callable[[], object], calls: int = 1) -> list[str]:
    """The functions in which most of the time of a call is spent: how much, and how often they are called."""
    profile = cProfile.Profile()
    profile.runcall(function)
    rows = [(entry.inlinetime, entry.callcount, _name(entry.code)) for entry in profile.getstats()]
    return [
        f"{seconds / calls * 1e6:9.2f} µs  {count / calls:9.1f}  {name}"
        for seconds, count, name in sorted(rows, reverse=True)[:SHOWN]
    ]


def _name(code: CodeType | str) -> str:
    if isinstance(code, str):
        return code
    return f"{Path(code.co_filename).name}:{code.co_name}"


def of_app(app: App, requests: Sequence[Request]) -> list[str]:
    """The same for one request to an application, called without a server."""
    scopes = [_read(request.data) for request in requests]
    return of_call(lambda: asyncio.run(_drive(app, scopes)), CALLS)


async def _drive(app: App, requests: Sequence[tuple[Scope, bytes]]) -> None:
    for scope, body in islice(cycle(requests), CALLS):
        message = {"type": "http.request", "body": body, "more_body": False}

        async def receive(message: Message = message) -> Message:
            return message

        await app({**scope, "headers": list(scope["headers"]), "state": {}}, receive, _drop)


async def _drop(_: Message) -> None:
    pass


def _read(data: bytes) -> tuple[Scope, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    path, _, query = target.partition("?")
    headers = [line.partition(b": ") for line in lines]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower(), value) for name, _, value in headers],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8080),
    }
    return scope, body
