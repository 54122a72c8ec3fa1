"""Who calls this service and what each may do; the guard reads nothing else about callers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coordinator": ("jobs:create", "jobs:update", "jobs:finish", "jobs:read", "health:read"),
        "bot": ("webhook:send",),
        "operator": ("jobs:dispatch", "jobs:read", "health:read"),
        "monitor": ("health:read",),
    }
)

CALLERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "coordinator": ("COORDINATOR_API_KEY", "coordinator"),
        "stitcher-bot": ("STITCHER_API_KEY", "bot"),
        "operator": ("OPERATOR_API_KEY", "operator"),
        "monitor": ("MONITOR_API_KEY", "monitor"),
    }
)
"""Caller → the variable of its static key, which may have a `…_PREVIOUS` beside it, and its preset."""


def required(*, webhook: bool) -> tuple[str, ...]:
    """The callers without whose key the service is of no use."""
    return ("coordinator", "stitcher-bot") if webhook else ("coordinator",)
