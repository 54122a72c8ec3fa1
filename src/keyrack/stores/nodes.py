"""The processes that decide on a store: how a change knows that none of them decides without it."""

from __future__ import annotations

import threading

from keyrack.stores.follower import steady
from keyrack.stores.journal import Journal

LOOK_SECONDS = 0.02
_never = threading.Event()


def wait_until_passed(journal: Journal, number: int, *, committed_at: float, max_stale: float) -> bool:
    """Wait until every node has applied event `number`, at most `max_stale` seconds from the commit.

    Times are by `steady`. A node that did not renew for max_stale before the commit is not waited
    for: it confirmed nothing since, so it decides nothing. True when every node passed in time.
    """
    deadline = committed_at + max_stale
    while not _all_passed(journal, number, committed_at - max_stale, committed_at):
        if steady() >= deadline:
            return False
        _never.wait(LOOK_SECONDS)
    return True


def _all_passed(journal: Journal, number: int, renewed_since: float, committed_at: float) -> bool:
    # A time that lies ahead is from before a restart of the machine: that process is gone.
    return all(
        node.applied >= number
        for node in journal.nodes()
        if renewed_since <= node.renewed_at <= max(committed_at, steady())
    )
