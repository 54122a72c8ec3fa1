"""The provider of the example has the OpenAI chat API: its answers, its streams, its errors, its limits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from examples.ai_gateway.model.app import create

KEY, NEXT, CONSOLE = "sk-first", "sk-second", "the console"
QUESTION = {"model": "echo-1", "messages": [{"role": "user", "content": "one two"}]}


class Provider:
    """The provider inside of the test."""

    def __init__(self) -> None:
        self._app = create()

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._asked(method, path, **more))

    async def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://provider") as client:
            return await client.request(method, path, **more)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("MODEL_KEYS", KEY)
    monkeypatch.setenv("MODEL_CONSOLE_KEY", CONSOLE)
    monkeypatch.setenv("MODEL_REQUESTS_PER_MINUTE", "1000000")
    return Provider()


def ask(provider: Provider, key: str = KEY, **question: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return provider("POST", "/v1/chat/completions", json={**QUESTION, **question}, headers=headers)


def test_an_answer_is_whole_and_says_what_it_took(provider: Provider) -> None:
    document = ask(provider).json()
    assert document["object"] == "chat.completion"
    [choice] = document["choices"]
    assert choice["message"] == {"role": "assistant", "content": "You said: one two "}
    assert document["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


def test_a_stream_says_the_same_piece_by_piece_and_ends(provider: Provider) -> None:
    answer = ask(provider, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, end = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    chunks = [json.loads(event) for event in events]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert (said, end) == ("You said: one two ", "[DONE]")
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("key", "question", "status", "kind"),
    [
        ("sk-nobody", {}, 401, "invalid_request_error"),
        (KEY, {"model": "nothing"}, 404, "invalid_request_error"),
        (KEY, {"model": "overloaded-1"}, 503, "server_error"),
        (KEY, {"messages": "hello"}, 400, "invalid_request_error"),
    ],
)
def test_errors_have_the_form_of_this_api(
    provider: Provider, key: str, question: dict[str, Any], status: int, kind: str
) -> None:
    answer = ask(provider, key, **question)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


def test_a_key_has_so_many_requests_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEYS", KEY)
    monkeypatch.setenv("MODEL_CONSOLE_KEY", CONSOLE)
    monkeypatch.setenv("MODEL_REQUESTS_PER_MINUTE", "0")
    answer = ask(Provider())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


def test_the_owner_of_the_account_replaces_its_keys_and_sees_their_use(provider: Provider) -> None:
    owner = {"x-console-key": CONSOLE}
    assert ask(provider).status_code == 200
    assert provider("PUT", "/console/keys", json={"keys": [NEXT]}, headers=owner).json() == {"keys": 1}
    assert [ask(provider, key).status_code for key in (KEY, NEXT)] == [401, 200]
    assert provider("GET", "/console/keys", headers=owner).json() == {
        "accepted": {KEY[-4:]: 1, NEXT[-4:]: 1},
        "refused": {KEY[-4:]: 1},
    }
    assert provider("GET", "/console/keys", headers={"x-console-key": "guess"}).status_code == 403


def test_the_models_are_listed_for_holders_of_a_key(provider: Provider) -> None:
    listed = provider("GET", "/v1/models", headers={"authorization": f"Bearer {KEY}"}).json()
    assert [model["id"] for model in listed["data"]] == ["echo-1", "overloaded-1"]
    assert provider("GET", "/v1/models").status_code == 401
