"""Prometheus metrics: what was decided, and how old the replica is. Summed over the workers.

The numbers are moved from the engine's own once a second, so that no decision pays for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.server import shared_folder
from keyrack.verifier import Verifier

_Live = Literal["livemax", "livemin"]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one worker; `text` shows those of all of them."""

    def __init__(self, verifier: Verifier, monitoring: Monitoring):
        self._verifier = verifier
        self._monitoring = monitoring
        self._counted: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._registry = CollectorRegistry()
        self._decisions = self._counter(
            "keyrack_decisions", "Decisions, by `allowed` or exact reason.", "outcome"
        )
        self._uncounted = self._counter(
            "keyrack_uncounted_decisions",
            "Requests whose limits could not be counted, by whether they were `refused` or `passed`.",
            "outcome",
        )
        self._polls = self._counter(
            "keyrack_polls",
            "Polls of the store, by whether they `confirmed` the replica or `failed` to.",
            "outcome",
        )
        self._age = self._gauge(
            "keyrack_replica_age_seconds", "Since the replica was last confirmed.", "livemax"
        )
        self._held = self._gauge("keyrack_replica_keys", "Keys that the replica holds.", "livemax")
        self._keys = self._gauge("keyrack_keys", "Keys in the store.", "livemax")
        self._reads = self._counter(
            "keyrack_replica_reads",
            "Keys that were not held and looked for in the store, by outcome.",
            "outcome",
        )
        self._head = self._gauge("keyrack_log_number", "The last event that the replica applied.", "livemin")
        self._ready = self._gauge("keyrack_ready", "1 while decisions can be made.", "livemin")
        self._sends = self._counter(
            "keyrack_upstream_sends",
            "Requests sent with a version of an upstream's key, by what became of it.",
            "tenant",
            "group",
            "version",
            "outcome",
        )
        self._signals = self._counter(
            "keyrack_signals", "Events of rotations, and alerts, that were told.", "event"
        )
        self._attempts = self._counter(
            "keyrack_webhook_attempts",
            "Attempts to tell a webhook, by whether it was `delivered`, `failed` or is `dead`.",
            "outcome",
        )
        self._open = self._gauge(
            "keyrack_open_breakers", "Upstream servers that are sent nothing.", "livemax"
        )

    def move(self) -> None:
        """Take over what the engine counted since the last time."""
        self._take_over(self._decisions, self._verifier.notebook.totals)
        self._take_over(self._uncounted, self._verifier.uncounted)
        self._take_over(self._reads, self._verifier.lookups.totals)
        follower = self._verifier.follower
        self._take_over(self._polls, follower.polls)
        self._age.set(follower.age())
        self._held.set(len(follower.replica))
        self._keys.set(follower.replica.in_all)
        self._head.set(follower.replica.head.number)
        self._ready.set(follower.doubt() is None)
        self._take_over(self._sends, self._monitoring.tally.totals)
        self._take_over(self._signals, self._monitoring.signals.totals)
        self._take_over(self._attempts, self._monitoring.attempts)
        self._open.set(self._monitoring.breakers.open)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        self.move()
        folder = os.environ.get(shared_folder.VARIABLE)
        if folder is None:
            return generate_latest(self._registry)
        _forget_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no type for it
        return generate_latest(registry)

    def _take_over(self, metric: Counter, totals: Mapping[Any, int]) -> None:
        """Count what was added to totals since, which are by one label or by several."""
        for name, total in list(totals.items()):
            labels = name if isinstance(name, tuple) else (name,)
            metric.labels(*labels).inc(total - self._counted.get((metric, labels), 0))
            self._counted[metric, labels] = total

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, mode: _Live) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode=mode)


def _forget_dead(folder: Path) -> None:
    """Drop the gauges of workers that died: what they last knew would stand for ever."""
    for pid in {file.stem.rpartition("_")[2] for file in folder.glob("gauge_live*.db")}:
        if not _lives(int(pid)):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # likewise


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
