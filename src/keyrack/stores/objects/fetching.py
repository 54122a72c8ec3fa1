"""Many objects, in order, and only a few of them in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

AT_ONCE = 16
"""How many objects are asked for at a time when many are needed."""

K = TypeVar("K")
V = TypeVar("V")


def fetched(fetch: Callable[[K], V], keys: Sequence[K]) -> Iterator[V]:
    """What `fetch` returns for each key, in order; it runs up to AT_ONCE ahead of whoever takes them."""
    if len(keys) < 2:
        yield from map(fetch, keys)
        return
    rest = iter(keys)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="keyrack-objects") as pool:
        asked = deque(pool.submit(fetch, key) for key in islice(rest, AT_ONCE))
        while asked:
            yield asked.popleft().result()
            asked.extend(pool.submit(fetch, key) for key in islice(rest, 1))
