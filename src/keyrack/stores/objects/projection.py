"""Documents of keys and tenants beside the log, for people and backup tools. No decision reads them.

They show what a record says, without the digests: nothing in them helps whoever looks for a secret.
"""

from __future__ import annotations

import json
import re
from typing import Any

from keyrack.core.model import DEFAULT_TENANT
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.protocols import Kind, Record

_PLACES = {Kind.KEY: Place.KEY, Kind.TENANT: Place.TENANT}
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def projected(record: Record) -> tuple[str, bytes] | None:
    """The path and the bytes of a record's document; None for a record that has none.

    An id that could lead out of its folder has none: the store does not trust what it reads.
    """
    place = _PLACES.get(record.kind)
    if place is None or not all(_SEGMENT.fullmatch(part) for part in (record.id, record.tenant)):
        return None
    members = _members(record)
    if members is None:
        return None
    name = record.id if place is Place.KEY else ""
    tenant = record.tenant or DEFAULT_TENANT
    text = json.dumps(members, indent=2, ensure_ascii=False)
    return path_of(place, name, tenant=tenant), f"{text}\n".encode()


def _members(record: Record) -> dict[str, Any] | None:
    try:
        members = json.loads(record.body)
    except ValueError:
        return None
    if not isinstance(members, dict):
        return None
    for version in members.get("versions", ()):
        version.pop("digest", None)
    return members
