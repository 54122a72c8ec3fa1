"""What the model says, in the form of the OpenAI chat API: whole, or piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

MODELS = ("echo-1", "overloaded-1")
"""The second one is always overloaded."""
END = "data: [DONE]\n\n"


def words(question: str) -> list[str]:
    """The answer to a question, a few characters a piece as a model gives it."""
    return [f"{word} " for word in f"You said: {question}".split(" ")]


def completion(name: str, model: str, said: Sequence[str], asked: str) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(said)}, "finish_reason": "stop"}
    return {
        "id": name,
        "object": "chat.completion",
        "model": model,
        "choices": [choice],
        "usage": _usage(asked, said),
    }


def events(name: str, model: str, said: Sequence[str]) -> Iterator[str]:
    """The same as server-sent events, one a piece, and the one that ends them."""
    for piece in said:
        yield _event(name, model, {"delta": {"content": piece}, "finish_reason": None})
    yield _event(name, model, {"delta": {}, "finish_reason": "stop"})
    yield END


def models() -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]}


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error of this API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _event(name: str, model: str, choice: dict[str, Any]) -> str:
    document = {
        "id": name,
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [{"index": 0, **choice}],
    }
    return f"data: {json.dumps(document)}\n\n"


def _usage(asked: str, said: Sequence[str]) -> dict[str, int]:
    prompt, answer = len(asked.split()), len(said)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
