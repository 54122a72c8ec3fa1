"""The processes that decide on a store: how a change knows that none of them decides without it."""

from __future__ import annotations

import threading

from keyrack.stores.follower import steady
from keyrack.stores.journal import Journal

LOOK_SECONDS = 0.02
_NEVER = threading.Event()


def wait_until_passed(
    journal: Journal,
    number: int,
    *,
    committed_at: float,
    max_stale: float,
    within: float | None = None,
    stop: threading.Event = _NEVER,
) -> bool:
    """Wait until every node has applied event `number`, at most `within` seconds from the commit.

    Without `within` that is max_stale: beyond it no node decides without the event. Times are by
    `steady`. A node that did not renew for max_stale before the commit is not waited for: it
    confirmed nothing since, so it decides nothing. True when every node passed in time and nothing
    said to stop waiting. Where nodes cannot register nothing tells that they passed: then it waits for
    all of max_stale, and with `within` not at all.
    """
    if not journal.registers and within is not None:
        return False
    deadline = committed_at + (max_stale if within is None else within)
    while not _all_passed(journal, number, committed_at - max_stale, committed_at):
        if steady() >= deadline or stop.wait(LOOK_SECONDS):
            return False
    return True


def _all_passed(journal: Journal, number: int, renewed_since: float, committed_at: float) -> bool:
    # A time that lies ahead is from before a restart of the machine: that process is gone.
    return journal.registers and all(
        node.applied >= number
        for node in journal.nodes()
        if renewed_since <= node.renewed_at <= max(committed_at, steady())
    )
