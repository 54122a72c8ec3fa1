"""What the log says of a change of the gateway: who, from where, with what, and no secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keyrack.core.authority import Authority
from keyrack.core.events import Event, EventKind
from keyrack.core.redaction import redacted


def audited(kind: EventKind, by: Authority, at: datetime, data: Mapping[str, Any]) -> Event:
    """The event of a change that was asked for. `data` is redacted, and says on which path it was asked."""
    said = data if by.path is None else {**data, "path": by.path}
    return Event(kind, at, by.name, data=redacted(said), request_id=by.request_id, address=by.address)
