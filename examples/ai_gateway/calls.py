"""Calls to a model, as a program makes them that knows nothing of the provider's key: plain and streamed."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import aiohttp

from examples.ai_gateway.house import House
from examples.ai_gateway.http import TIMEOUT_SECONDS, connector

ELSEWHERE = "127.0.0.2"
"""Another address of this machine, for whoever is not where a key belongs."""


class Reply(NamedTuple):
    """What came back: the status, the whole of what was said, and the document where there was one."""

    status: int
    said: str
    document: Any

    @property
    def code(self) -> str | None:
        """Why it was refused, by Keyrack or by the provider."""
        document: dict[str, Any] = self.document or {}
        code: str | None = document.get("code") or document.get("error", {}).get("type")
        return code

    @property
    def is_good(self) -> bool:
        """Whether it is an answer to the question, from its first piece to its last."""
        return self.status == 200 and self.said.startswith("You said: ")


def session(*, elsewhere: bool = False) -> aiohttp.ClientSession:
    """Connections of one program; of one on another machine if it is `elsewhere`."""
    timeout = aiohttp.ClientTimeout(TIMEOUT_SECONDS)
    return aiohttp.ClientSession(connector=connector(ELSEWHERE if elsewhere else None), timeout=timeout)


async def ask(
    client: aiohttp.ClientSession, house: House, secret: str, *, stream: bool = False, model: str = "echo-1"
) -> Reply:
    """Ask a model through the gateway."""
    headers = {"Authorization": f"Bearer {secret}"}
    question = {
        "model": model,
        "messages": [{"role": "user", "content": "how are you"}],
        "stream": stream,
    }
    async with client.post(f"{house.gateway}/chat/completions", json=question, headers=headers) as answer:
        body = await answer.text()
    if answer.content_type == "text/event-stream":
        return Reply(answer.status, _pieces(body), None)
    document = json.loads(body)
    return Reply(answer.status, _content(document), document)


def _pieces(body: str) -> str:
    """What a stream says; nothing where it did not come to its end."""
    *events, end = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    if end != "[DONE]":
        return ""
    return "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events)


def _content(document: dict[str, Any]) -> str:
    return str(document["choices"][0]["message"]["content"]) if "choices" in document else ""
