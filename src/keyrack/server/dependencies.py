"""What routes are handed: the engine, who calls, and the headers and cursors that many share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request

from keyrack.core.authority import Authority
from keyrack.core.errors import InvalidRequest
from keyrack.core.model import Key
from keyrack.issuer import Issuer
from keyrack.presenting import key_json
from keyrack.stores.opened import Stores
from keyrack.tenancy import Tenants

_CURSOR = re.compile(r"[0-9]{1,18}")
_ETAG = re.compile(r'"([0-9]{1,18})"')
_ONCE = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the engine that routes call."""

    stores: Stores
    issuer: Issuer
    tenants: Tenants

    def present(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """Keys as JSON values, with the use of each version as far as it is flushed."""
        uses = self.stores.journal.uses([key.id for key in keys])
        now = datetime.fromtimestamp(self.stores.clock(), UTC)
        return [key_json(key, uses, now) for key in keys]


def _engine(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _by(request: Request) -> Authority:
    state = request.state.key
    address = None if state.address is None else str(state.address)
    return Authority.of(state.allowed, address=address, request_id=state.request_id)


def _raw_body(request: Request) -> bytes:
    body: bytes = request.state.body
    return body


def _cursor(cursor: Annotated[str | None, Query(max_length=64)] = None) -> int | None:
    if cursor is not None and _CURSOR.fullmatch(cursor) is None:
        raise InvalidRequest("This cursor was not given by this list; start without one.")
    return None if cursor is None else int(cursor)


def _if_match(if_match: Annotated[str | None, Header()] = None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidRequest('If-Match takes one ETag of this resource, such as "17".')
    return int(found[1])


def _once_header(idempotency_key: Annotated[str | None, Header()] = None) -> str | None:
    if idempotency_key is not None and _ONCE.fullmatch(idempotency_key) is None:
        raise InvalidRequest("Idempotency-Key takes 1 to 128 printable ASCII characters without blanks.")
    return idempotency_key


Engine = Annotated[Services, Depends(_engine)]
By = Annotated[Authority, Depends(_by)]
RawBody = Annotated[bytes, Depends(_raw_body)]
Cursor = Annotated[int | None, Depends(_cursor)]
IfMatch = Annotated[int | None, Depends(_if_match)]
OnceHeader = Annotated[str | None, Depends(_once_header)]
Limit = Annotated[int, Query(ge=1, le=100)]
