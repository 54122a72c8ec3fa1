"""What Firehose is answered, whoever answers: the guard, a route or the framework (LL-27).

It stands outermost, so that no answer on that path has another form.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.log_lake.clock import Clock
from examples.log_lake.firehose import REQUEST_ID
from examples.log_lake.operations import FIREHOSE_PATH

OWN = frozenset({b"content-type", b"content-length"})
FAILED = "The request failed."


class FirehoseAnswers:
    """An application whose answers on Firehose's path are of the form that Firehose reads."""

    def __init__(self, app: ASGIApp, clock: Clock):
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != FIREHOSE_PATH:
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, receive, keep)
        finally:
            # The framework answers an unforeseen error, and raises it then.
            for message in self._turned(messages, Headers(scope=scope).get(REQUEST_ID, "")):
                await send(message)

    def _turned(self, messages: list[Message], request_id: str) -> list[Message]:
        if not messages:
            return []
        start, *rest = messages
        answer: dict[str, Any] = {
            "requestId": request_id,
            "timestamp": int(self._clock().timestamp() * 1000),
        }
        if start["status"] != 200:
            answer["errorMessage"] = _detail(b"".join(one.get("body", b"") for one in rest))
        body = json.dumps(answer).encode()
        kept = [(name, value) for name, value in start.get("headers", ()) if name not in OWN]
        headers = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return [{**start, "headers": headers}, {"type": "http.response.body", "body": body}]


def _detail(problem: bytes) -> str:
    """What a problem document says."""
    try:
        return str(json.loads(problem)["detail"])
    except (ValueError, KeyError, TypeError):
        return FAILED
