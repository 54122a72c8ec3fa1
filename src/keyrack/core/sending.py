"""Which version of an upstream's secret a request is sent with: a pure function of what is known.

The first candidate is sent; the next one only when the upstream refuses the first within grace.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from keyrack.core.rotation import live
from keyrack.core.upstream import Rollout, SendPolicy, Upstream, UpstreamVersion


def candidates(
    upstream: Upstream, request_id: str, *, default: SendPolicy, now: datetime
) -> tuple[UpstreamVersion, ...]:
    """The live versions, the preferred one first and the others by age, the newest first.

    `default` is the policy of whoever sends, where the rotation states none. At and after the end of
    grace there is one candidate, whatever a job has or has not done by then.
    """
    standing = live(upstream.versions, now)
    new, olds = standing[-1], standing[-2::-1]
    if not olds or prefers_new(upstream.rollout, request_id, default=default):
        return (new, *olds)
    return (olds[0], new, *olds[1:])


def prefers_new(rollout: Rollout | None, request_id: str, *, default: SendPolicy) -> bool:
    """Whether this request is in the share that is sent the new version."""
    if rollout is None:
        return True
    policy = rollout.policy or default
    percent = rollout.percent
    if percent is None:
        return policy is SendPolicy.PREFER_NEW
    return share(rollout.id, request_id) < percent


def share(rollout_id: str, request_id: str) -> float:
    """Where a request stands between 0 and 100: evenly spread, and the same wherever it is asked."""
    digest = hashlib.sha256(f"{rollout_id}/{request_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 / 2**64
