"""A process of the service that asks as often as it is told; several share one key store."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.queues import SimpleQueue

from ci_bed import Ci, Clock

TRIES_AT_MOST = 20_000


def ask(admitted: SimpleQueue[int], variables: Mapping[str, str], times: int) -> None:
    """Ask for the health so many times; put how many answers were no 429.

    Whoever finds the counters busy is told 503 and was not counted, so it asks again.
    """
    with Ci(variables, Clock()) as ci:
        statuses: list[int] = []
        for _ in range(TRIES_AT_MOST):
            status = ci.get("/system/health").status_code
            statuses += [status] if status != 503 else []
            if len(statuses) == times:
                break
    admitted.put(statuses.count(200))
