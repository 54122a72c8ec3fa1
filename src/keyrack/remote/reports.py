"""Tells the server how often keys passed here, so that last-used stays true."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from keyrack.chores import Chore, ChoreThread, finish
from keyrack.client import Client
from keyrack.stores.journal import Notebook, Refusal, Use
from keyrack.stores.opened import Clock

REPORT_SECONDS = 1.0
MAX_USES = 400
"""In one report, an address counted like a use; the server takes no more."""
MAX_AGE_SECONDS = 86_400.0


class Reports:
    """One thread that reports what was noted, once a second; a crash loses at most that second.

    What was sent is sent again unchanged, under its number, until it is answered: the server takes it once.
    Refusals are not reported: those by the server stand in its journal, and all of them in the log here.
    """

    def __init__(self, client: Client, notebook: Notebook, now: Clock):
        self._client = client
        self._notebook = notebook
        self._now = now
        self._node = secrets.token_hex(8)
        self._number = 1
        self._unsent: deque[list[Use]] = deque()
        chore = Chore("use cannot be reported", self.flush, REPORT_SECONDS)
        self._thread = ChoreThread("keyrack-reports", (chore,), every=REPORT_SECONDS)

    def start(self) -> None:
        """Report from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Report what is left, and close the connection."""
        self._thread.stop()
        finish(self.flush)
        self._client.close()

    def flush(self) -> None:
        """Report now. Raises KeyrackError; what was noted is kept then, for the next time."""
        self._notebook.flush(self)
        self._send()

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        """What a Notebook calls with what it rolled up: taken over once nothing older waits to be sent."""
        self._send()
        self._unsent.extend(_pages(uses))

    def _send(self) -> None:
        now = self._now()
        while self._unsent:
            uses = [_told(use, now) for use in self._unsent[0]]
            self._client.report_uses(uses, report={"node": self._node, "number": self._number})
            self._unsent.popleft()
            self._number += 1


def _pages(uses: Iterable[Use]) -> Iterator[list[Use]]:
    """Uses in parts that one report can hold, each address counted as another one."""
    page: list[Use] = []
    room = MAX_USES
    for use in uses:
        size = 1 + len(use.seen)
        if size > room:
            yield page
            page, room = [], MAX_USES
        page.append(use)
        room -= size
    if page:
        yield page


def _told(use: Use, now: float) -> dict[str, Any]:
    return {
        "key_id": use.key_id,
        "version": use.number,
        "uses": use.uses,
        "first_seconds_ago": _ago(now, use.first_at),
        "last_seconds_ago": _ago(now, use.last_at),
        "addresses": [
            {"address": address, "last_seconds_ago": _ago(now, at)} for address, at in use.seen.items()
        ],
    }


def _ago(now: float, at: float) -> float:
    return min(max(0.0, now - at), MAX_AGE_SECONDS)
