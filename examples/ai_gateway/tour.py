"""The whole example from beginning to end, on a store that is thrown away: `tour`."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from examples.ai_gateway import scenes
from examples.ai_gateway.house import House, fresh, opened
from examples.ai_gateway.setup import set_up


class Played(NamedTuple):
    """What came of each scene, in their order."""

    calls: scenes.Calls
    rotation: scenes.Rotation
    exhaustion: scenes.Exhaustion
    leak: scenes.Leak


async def play(house: House) -> Played:
    """Every scene, in a house where nothing happened before."""
    web, trial = await set_up(house)
    return Played(
        await scenes.calls(house, web),
        await scenes.rotation(house, web, house.provider_key),
        await scenes.exhaustion(house, trial),
        await scenes.leak(house, web),
    )


def run(*, port: int | None = None) -> Played:
    """The tour in a folder that is gone afterwards; on this port and the next one, or on free ones."""
    with tempfile.TemporaryDirectory(prefix="ai-gateway-") as made:
        folder = Path(made)
        with opened(fresh(folder), folder / "log", port=port) as house:
            return asyncio.run(play(house))


def told(played: Played) -> Iterator[str]:
    """What came of it, line by line."""
    yield from _of_calls(played.calls)
    yield from _of_rotation(played.rotation)
    yield from _of_exhaustion(played.exhaustion)
    yield from _of_leak(played.leak)


def _of_calls(done: scenes.Calls) -> Iterator[str]:
    yield f"asked plainly: {done.plain.status} {done.plain.said!r}"
    yield f"asked for a stream: {done.streamed.status} {done.streamed.said!r}"
    yield f"the provider saw its own key: {dict(done.keys_seen)}"


def _of_rotation(done: scenes.Rotation) -> Iterator[str]:
    yield f"provider's key …{done.old} replaced by …{done.new} under load: {done.answered} answers"
    yield f"failed meanwhile: {dict(done.failures) or 'none'}"
    yield f"refused by the provider: {dict(done.refused) or 'none'}"


def _of_exhaustion(done: scenes.Exhaustion) -> Iterator[str]:
    yield f"an overloaded model is {done.when_overloaded} and leaves {done.left_after_overload} credits"
    yield f"six questions: {' '.join(map(str, done.statuses))}; the last: {done.refused.code}"


def _of_leak(done: scenes.Leak) -> Iterator[str]:
    yield f"a leaked key is used from {', '.join(sorted(done.seen_from))}"
    yield f"its network blocked: {done.while_blocked.status} {done.while_blocked.code}"
    yield f"its secret replaced: {done.after_rotation.status} {done.after_rotation.code}"
    yield f"… {done.ended_within_seconds * 1000:.0f} ms later; the owner's new secret: {done.owner.status}"
