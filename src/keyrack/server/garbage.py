"""What the server tells Python's garbage collector."""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 50_000, 50, 100
"""Objects and rounds between collections. The journal's notes live for a second and hold no cycle:
with the standard thresholds (700, 10, 10) they are walked many times over until they are written."""


def settle() -> None:
    """Leave what the start made out of every later collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
