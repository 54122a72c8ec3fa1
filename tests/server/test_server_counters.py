"""Limits that are counted behind a network: whoever has none is never kept waiting by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from patience import PATIENCE_SECONDS, eventually
from server_bed import OPERATOR, Caller, Founded, make_store, problem
from server_process import serving
from servers.redis import running

from keyrack import Limit, Policy, Verifier, Wish, open_stores
from keyrack.admin.founding import found
from keyrack.server.hot import HotPaths
from keyrack.stores.counters import MemoryCounters, Spend, Taken
from keyrack.testing import PEPPERS, FixedClock

LIMIT = Limit("minute", 100, 60)


class SlowCounters(MemoryCounters):
    """Counters behind a network that answers when the test lets it."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.asked = threading.Event()

    def take(self, spends: Sequence[Spend], now: float) -> Taken:
        self.asked.set()
        assert self.answers.wait(PATIENCE_SECONDS)
        return super().take(spends, now)


class NoThreads(ThreadPoolExecutor):
    """For an event loop that is to decide by itself."""

    def submit(self, *work: Any, **options: Any) -> Future[Any]:
        raise RuntimeError("This went to a thread.")


class Bed:
    """A hot path on slow counters, and keys with and without a limit."""

    def __init__(self) -> None:
        self.counters = SlowCounters()
        stores = open_stores("memory:", peppers=PEPPERS, clock=FixedClock())
        found(stores)
        self.verifier = Verifier(replace(stores, counters=self.counters), policy=Policy())
        self.verifier.follower.load()
        self.asker, self.limited_asker = self.key("*:*"), self.key("*:*", LIMIT)
        self.free, self.limited = self.key("logs:read"), self.key("logs:read", LIMIT)
        self.app: Any = HotPaths(nothing, self.verifier, trusted_proxies=(), realm="keyrack")

    def key(self, scope: str, *limits: Limit) -> str:
        minted = self.verifier.issuer().mint(Wish("k", scopes=[scope], limits=limits), by=OPERATOR)
        return minted.secret or ""

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.stated), base_url="http://inside")

    async def stated(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": {}}, receive, send)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("Only the hot path is asked here.")


@pytest.fixture
def bed() -> Iterator[Bed]:
    made = Bed()
    yield made
    made.counters.answers.set()
    made.verifier.stores.close()


Ask = Callable[[httpx.AsyncClient, Bed, bool], Awaitable[httpx.Response]]


async def verify(client: httpx.AsyncClient, bed: Bed, limited: bool) -> httpx.Response:
    return await post(client, "/v1/verify", bed.asker, question(bed, limited))


async def verify_as_a_limited_caller(client: httpx.AsyncClient, bed: Bed, limited: bool) -> httpx.Response:
    return await post(client, "/v1/verify", bed.limited_asker if limited else bed.asker, question(bed, False))


async def verify_many(client: httpx.AsyncClient, bed: Bed, limited: bool) -> httpx.Response:
    questions = [question(bed, False), question(bed, limited)]
    return await post(client, "/v1/verify/batch", bed.asker, questions)


async def forward(client: httpx.AsyncClient, bed: Bed, limited: bool) -> httpx.Response:
    text = bed.limited if limited else bed.free
    return await client.get(
        "/v1/forward-auth", params={"scope": "logs:read"}, headers={"authorization": f"Bearer {text}"}
    )


async def forward_for_a_limited_proxy(client: httpx.AsyncClient, bed: Bed, limited: bool) -> httpx.Response:
    proxy = bed.limited_asker if limited else bed.asker
    headers = {"authorization": f"Bearer {bed.free}", "x-keyrack-proxy-key": proxy}
    return await client.get("/v1/forward-auth", params={"scope": "logs:read"}, headers=headers)


async def post(client: httpx.AsyncClient, path: str, caller: str, body: Any) -> httpx.Response:
    return await client.post(path, json=body, headers={"authorization": f"Bearer {caller}"})


def question(bed: Bed, limited: bool) -> dict[str, Any]:
    return {"key": bed.limited if limited else bed.free, "scopes": ["logs:read"]}


ASKING: list[Ask] = [
    verify,
    verify_as_a_limited_caller,
    verify_many,
    forward,
    forward_for_a_limited_proxy,
]


@pytest.mark.parametrize("ask", ASKING)
def test_slow_counters_keep_nobody_waiting_who_has_no_limit(bed: Bed, ask: Ask) -> None:
    async def both() -> tuple[httpx.Response, httpx.Response]:
        async with bed.client() as client:
            waiting = asyncio.ensure_future(ask(client, bed, True))
            await asyncio.to_thread(bed.counters.asked.wait, PATIENCE_SECONDS)
            free = await ask(client, bed, False)
            assert not waiting.done()
            bed.counters.answers.set()
            return free, await waiting

    free, limited = asyncio.run(both())
    assert (free.status_code, limited.status_code) == (200, 200)
    assert b'"valid":false' not in free.content + limited.content


@pytest.mark.parametrize("ask", ASKING)
def test_what_has_no_limit_is_decided_without_a_thread(bed: Bed, ask: Ask) -> None:
    async def alone() -> int:
        asyncio.get_running_loop().set_default_executor(NoThreads())
        async with bed.client() as client:
            return (await ask(client, bed, False)).status_code

    assert asyncio.run(alone()) == 200


def test_bad_credentials_are_refused_without_a_thread(bed: Bed) -> None:
    """Or a flood of them would take the threads from those who have keys."""

    async def flood() -> list[int]:
        asyncio.get_running_loop().set_default_executor(NoThreads())
        texts = ("nonsense", bed.limited[:-1] + "-", "")
        async with bed.client() as client:
            headers = [{"authorization": f"Bearer {text}"} for text in texts]
            path = "/v1/forward-auth?scope=logs:read"
            return [(await client.get(path, headers=one)).status_code for one in headers]

    assert asyncio.run(flood()) == [401, 401, 401]


@pytest.fixture
def founded(tmp_path: Path) -> Founded:
    return make_store(tmp_path)


@pytest.mark.parametrize(
    ("down", "workers", "code", "outcome"), [("closed", "2", 503, "refused"), ("open", "1", 200, "passed")]
)
def test_without_redis_only_limited_keys_are_refused_or_pass_uncounted(
    founded: Founded, tmp_path: Path, down: str, workers: str, code: int, outcome: str
) -> None:
    limits = [{"name": "m", "limit": 2, "window_seconds": 3600}]
    settings = {"KEYRACK_COUNTERS_DOWN": down, "KEYRACK_INTERNAL": "127.0.0.1:0"}
    with running(tmp_path) as redis:
        settings |= founded.settings | {"KEYRACK_COUNTERS": redis.url, "KEYRACK_WORKERS": workers}
        with serving(settings, tmp_path) as server, server.client(founded.root) as client:
            root = Caller(client)
            limited, free = root.mint("logs:read", limits=limits)["secret"], root.mint("logs:read")["secret"]
            with server.client(limited) as holder:
                passed = 0
                while (status := holder.get("/v1/me").status_code) != 429:
                    # On a busy machine 250 ms are easily over: our own trouble, counted or not.
                    assert status in (200, 503)
                    passed += status == 200
                assert passed <= 2 or down == "open"
                with redis.paused():
                    assert holder.get("/v1/me").status_code == code
                    assert root.verify(limited)["code"] == ("ok" if code == 200 else "unavailable")
                    assert root.verify(free)["valid"] is True
                    assert httpx.get(f"{server.internal_url}/readyz").status_code == 200
                    assert code == 200 or problem(holder.get("/v1/me")) == (503, "unavailable")
                redis.kill()
                assert holder.get("/v1/me").status_code == code
                redis.start()
                # Workers come back one by one, and what Redis held in memory is gone.
                eventually(lambda: holder.get("/v1/me").status_code == 429)
            metric = f'keyrack_uncounted_decisions_total{{outcome="{outcome}"}}'
            eventually(lambda: told(server.internal_url, metric) >= 3)
            assert "Traceback" not in server.output


def told(url: str, metric: str) -> float:
    """The value of a metric, over all workers."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))
