"""What a process holds in memory, as the kernel counts it."""

from __future__ import annotations

import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes of this process that are in memory now, garbage collected before."""
    gc.collect()
    return _field("VmRSS")


def peak() -> int:
    """The most bytes that this process ever had in memory."""
    return _field("VmHWM")


def _field(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
