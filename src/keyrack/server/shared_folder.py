"""The folder that the workers of one server share: where it is named, and what stands in it."""

from __future__ import annotations

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in the environment; prometheus_client keeps its numbers in it."""
SERVED = "served"
"""The file in it which says that a worker was ready once."""
