"""A rotation for tests: a group and its keys, what is sent with them, and the chores, on one clock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine_bed import OPERATOR, Bed, opened
from session_bed import M1

from keyrack.core.events import EventKind, open_entry
from keyrack.core.master_keys import MasterKeys
from keyrack.core.upstream import Upstream
from keyrack.core.webhooks import Webhooks
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.monitoring.chores import Chores
from keyrack.gateway.monitoring.watch import Monitoring
from keyrack.stores.protocols import Excerpt
from keyrack.vault.secrets import Vault

GROUP = "openai"
KEYS = tuple(f"upstream-key-number-{number}" for number in range(9))
TIER = {
    "tier_name": "basic",
    "credits": 3,
    "input_limit": None,
    "output_limit": None,
    "reset_frequency": "never",
}
FIELDS = {
    "api_credit_group": GROUP,
    "api_key": KEYS[1],
    "api_key_header": "Authorization",
    "api_key_format": "Bearer {key}",
    "credit_tiers": [TIER],
}


class RotationBed:
    """One process of a gateway; `other` is a second one on the same store."""

    def __init__(self, bed: Bed, webhooks: Webhooks | None = None):
        self.bed = bed
        self.verifier = bed.verifier
        self.stores = bed.stores
        self.upstreams = Upstreams(bed.stores, Vault(MasterKeys.parse(M1)), spread=bed.verifier.spread)
        self.monitoring = Monitoring.of(bed.stores, webhooks)
        self.tally = self.monitoring.tally
        self.chores = Chores(bed.verifier, self.monitoring)
        self.passes = bed.passes

    @property
    def upstream(self) -> Upstream:
        """The group as decisions see it."""
        self.verifier.follower.poll()
        return self.verifier.follower.replica.upstreams[f"default/{GROUP}"]

    def rotate(self, **wish: Any) -> Upstream:
        """Start a rotation to the next key."""
        number = len(self.upstream.versions) + 1
        return self.upstreams.rotate(GROUP, {"api_key_new": KEYS[number], **wish}, by=OPERATOR)

    def send(self, number: int, *, accepted: bool | None = True, times: int = 1, **more: Any) -> None:
        """Send so many requests with a version."""
        for _ in range(times):
            self.tally.sent(self.upstream, number, accepted=accepted, **more)

    def work(self) -> None:
        """Do every chore once, as if a while had passed."""
        self.verifier.follower.poll()
        for job in self.chores.jobs:
            job.hurry()
            assert job.attempt(), job.trouble
        self.verifier.follower.poll()

    @property
    def told(self) -> dict[str, int]:
        """How often each signal was told by this process."""
        return dict(self.monitoring.signals.totals)

    def events(self, *kinds: EventKind) -> list[EventKind]:
        """What the log says happened to the group, of these kinds."""
        entries = self.stores.keys.entries(Excerpt(subject=f"default/{GROUP}", most=100))
        found = [open_entry(entry, self.stores.peppers)[0].kind for entry in entries]
        return [kind for kind in found if kind in kinds]

    def other(self) -> RotationBed:
        """A second process on the same store."""
        return RotationBed(self.bed)


@contextmanager
def rotating(
    store: str = "memory", webhooks: Webhooks | None = None, **options: Any
) -> Iterator[RotationBed]:
    """A process with one group, whose chores have begun."""
    with opened(store, **options) as bed:
        made = RotationBed(bed, webhooks)
        made.upstreams.create(FIELDS, by=OPERATOR)
        made.work()
        yield made


def lines(records: list[logging.LogRecord], kind: str) -> list[logging.LogRecord]:
    """The log lines that told a signal of this kind."""
    return [one for one in records if one.name == "keyrack.signals" and one.message == kind]


def happened_at(records: list[logging.LogRecord]) -> dict[str, str]:
    """When each kind of signal happened, as the last log line of it says."""
    told = [one for one in records if one.name == "keyrack.signals"]
    return {one.message: one.__dict__["signal"]["at"] for one in told}
