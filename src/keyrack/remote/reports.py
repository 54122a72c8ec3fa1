"""Tells the server how often keys passed here, so that last-used stays true."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from itertools import islice

from keyrack.chores import Chore
from keyrack.client import Client
from keyrack.core.errors import KeyrackError
from keyrack.stores.journal import Notebook, Refusal, Use
from keyrack.stores.opened import Clock

REPORT_SECONDS = 1.0
MAX_USES = 400
"""In one report; the server takes no more."""
MAX_AGE_SECONDS = 86_400.0

log = logging.getLogger("keyrack.remote")


class Reports:
    """One thread that reports what was noted, once a second; a crash loses at most that second.

    Refusals are not reported: those by the server stand in its journal, and all of them in the log here.
    """

    def __init__(self, client: Client, notebook: Notebook, now: Clock):
        self._client = client
        self._notebook = notebook
        self._now = now
        self._ending = threading.Event()
        self._chore = Chore("use cannot be reported", self.flush, REPORT_SECONDS)
        self._thread = threading.Thread(target=self._run, name="keyrack-reports", daemon=True)

    def start(self) -> None:
        """Report from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Report what is left, and close the connection."""
        self._ending.set()
        if self._thread.ident:
            self._thread.join()
        try:
            self.flush()
        except KeyrackError as error:
            log.warning("not all use could be reported at the end: %s", error.detail)
        self._client.close()

    def flush(self) -> None:
        """Report now. Raises KeyrackError; what was noted is kept then, for the next time."""
        self._notebook.flush(self)

    def write(self, uses: Sequence[Use], refusals: Sequence[Refusal]) -> None:
        """What a Notebook calls with what it rolled up."""
        now, left = self._now(), iter(uses)
        while page := list(islice(left, MAX_USES)):
            self._client.report_uses(
                {
                    "key_id": use.key_id,
                    "version": use.number,
                    "uses": use.uses,
                    "first_seconds_ago": _ago(now, use.first_at),
                    "last_seconds_ago": _ago(now, use.last_at),
                }
                for use in page
            )

    def _run(self) -> None:
        while not self._ending.wait(REPORT_SECONDS):
            self._chore.attempt()


def _ago(now: float, at: float) -> float:
    return min(max(0.0, now - at), MAX_AGE_SECONDS)
