"""A leaked key is replaced while callers call, through the server as an operator runs it: two processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from gateway_bed import KEYS, SCOPE, TIER
from patience import PATIENCE_SECONDS, eventually
from raw_upstream import Exchange, RawUpstream
from server.server_bed import make_store
from server.server_process import Running, serving
from session_bed import M1

CALLERS = 4
PATH = "/api/rest/chat/v1/chat"


class Provider:
    """An upstream that accepts certain keys, and counts what each was used for."""

    def __init__(self, portal: BlockingPortal):
        self.server = RawUpstream(portal)
        self.server.answer = self._answer
        self.accepted = {1}
        self.uses: dict[int, int] = {}

    async def _answer(self, exchange: Exchange) -> None:
        body = await exchange.body()
        sent = [value for name, value in exchange.headers if name.lower() == "authorization"]
        number = next((n for n, key in enumerate(KEYS) if sent == [f"Bearer {key}"]), -1)
        self.uses[number] = self.uses.get(number, 0) + 1
        await exchange.reply(200 if number in self.accepted else 401, body or b"ok")


class Load:
    """Callers who never stop, and what they were answered."""

    def __init__(self, running: Running, key: str):
        self._running = running
        self._key = key
        self._ending = threading.Event()
        self.failures: list[Any] = []
        self.done = 0
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def _call(self) -> None:
        with self._running.client(self._key) as client:
            while not self._ending.is_set():
                try:
                    answer = client.post(PATH, content=b"hello")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if (answer.status_code, answer.content) != (200, b"hello"):
                    self.failures.append((answer.status_code, answer.text))
                self.done += 1

    def passes(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.done + count
        eventually(lambda: self.done >= wanted or self.failures)


@contextmanager
def calling(running: Running, key: str) -> Iterator[Load]:
    load = Load(running, key)
    for thread in load._threads:
        thread.start()
    try:
        yield load
    finally:
        load._ending.set()
        for thread in load._threads:
            thread.join(PATIENCE_SECONDS)


@pytest.mark.spec("UG-57")
def test_a_leaked_key_is_replaced_under_load_without_one_failed_request(
    portal: BlockingPortal, tmp_path: Path
) -> None:
    founded, provider = make_store(tmp_path), Provider(portal)
    settings = {**founded.settings, "KEYRACK_MASTER_KEYS": M1, "KEYRACK_WORKERS": "2"}
    with serving(settings, tmp_path) as running, running.client(founded.root) as root:

        def manage(method: str, path: str, status: int, given: Any = None) -> dict[str, Any]:
            answer = root.request(method, f"/v1{path}", json=given)
            assert answer.status_code == status, answer.text
            found: dict[str, Any] = answer.json()
            return found

        def everybody_knows() -> None:
            """A revocation that waits is done once every process has seen it, and all that was before it."""
            spare = manage("POST", "/keys", 201, {"name": "spare", "scopes": [SCOPE]})["key"]["id"]
            manage("POST", f"/keys/{spare}/revoke", 200, {"reason": "spare", "wait": True})

        manage(
            "POST",
            "/credits",
            201,
            {
                "api_credit_group": "chat",
                "api_key": KEYS[1],
                "api_key_header": "Authorization",
                "api_key_format": "Bearer {key}",
                "credit_tiers": [TIER],
            },
        )
        manage(
            "POST",
            "/apis",
            201,
            {
                "api_name": "chat",
                "api_version": "v1",
                "api_servers": [provider.server.url],
                "api_credit_group": "chat",
                "endpoints": [{"method": "POST", "uri": "/chat", "scope": SCOPE}],
            },
        )
        caller = manage("POST", "/keys", 201, {"name": "caller", "scopes": [SCOPE]})["secret"]
        everybody_knows()
        with calling(running, caller) as load:
            load.passes(50)
            assert set(provider.uses) == {1}
            # The provider issues the second key, and knows both.
            provider.accepted = {1, 2}
            manage("POST", "/credits/chat/rotation", 201, {"api_key_new": KEYS[2], "plan": "emergency"})
            everybody_knows()
            eventually(lambda: provider.uses.get(2, 0) > 50 or load.failures)
            # The leaked one is dead there; nobody here says so.
            provider.accepted = {2}
            load.passes(200)
            before = provider.uses[1]
            manage("POST", "/credits/chat/rotation/promote", 200, {"destroy": True})
            load.passes(200)
        assert load.failures == []
        assert before <= provider.uses[1] <= before + 2 * CALLERS
        assert provider.uses.get(-1) is None
    provider.server.close()
