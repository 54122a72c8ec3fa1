"""Who did what to what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from examples.ci_results.models.tables import audit


def note(
    connection: Connection, *, at: datetime, actor: str, action: str, target: str, data: Mapping[str, Any]
) -> None:
    """Write one row, in the transaction of what it is about."""
    row = {"at": at, "actor": actor, "action": action, "target": target, "data": dict(data)}
    connection.execute(insert(audit), row)
