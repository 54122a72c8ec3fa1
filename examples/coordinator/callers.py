"""Who calls this service and what each may do; the guard reads nothing else about callers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COORDINATOR_KEY = "COORDINATOR_API_KEY"
STITCHER_KEY = "STITCHER_API_KEY"

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
        "coordinator": (COORDINATOR_KEY, "coordinator"),
        "stitcher-bot": (STITCHER_KEY, "bot"),
        "operator": ("OPERATOR_API_KEY", "operator"),
        "monitor": ("MONITOR_API_KEY", "monitor"),
    }
)
"""Caller → the variable of its static key, which may have a `…_PREVIOUS` beside it, and its preset."""
