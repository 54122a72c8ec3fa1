"""Constant load: programs that ask one question after the other, and what came of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

import aiohttp

from examples.ai_gateway.calls import ask, session
from examples.ai_gateway.house import House

PROGRAMS = 8
"""Every second one streams."""


class Load:
    """`async with Load(house, secret) as load`: from the first answer of each program until it is left."""

    def __init__(self, house: House, secret: str, *, programs: int = PROGRAMS):
        self._house = house
        self._secret = secret
        self.good = 0
        self.failures = Counter[str]()
        """Requests that did not get a whole answer, by what came instead."""
        self._done = [0] * programs
        self._moved = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._client = session()
        self._tasks = [asyncio.create_task(self._repeat(number)) for number in range(len(self._done))]
        await self.rounds(1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    async def rounds(self, count: int) -> None:
        """Wait until each program has had so many answers to questions that it asked from now on."""
        # The one that is under way was asked before.
        until = [done + count + 1 for done in self._done]
        async with self._moved:
            await self._moved.wait_for(
                lambda: all(done >= wanted for done, wanted in zip(self._done, until, strict=True))
            )

    async def _repeat(self, number: int) -> None:
        while True:
            await self._once(stream=number % 2 == 1)
            self._done[number] += 1
            async with self._moved:
                self._moved.notify_all()

    async def _once(self, *, stream: bool) -> None:
        try:
            reply = await ask(self._client, self._house, self._secret, stream=stream)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.failures[type(error).__name__] += 1
            return
        if reply.is_good:
            self.good += 1
        else:
            self.failures[f"{reply.status} {reply.code}"] += 1
