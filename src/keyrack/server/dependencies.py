"""What routes are handed: the engine, who calls, and the headers and cursors that many share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import Field

from keyrack.core.authority import Authority, needed_to_read, needed_to_rotate
from keyrack.core.model import Key
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.balances import CreditBalances
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.monitoring.tally import Tally
from keyrack.issuer import Issuer
from keyrack.network_blocks import NetworkBlocks
from keyrack.presenting import key_json, uses_if_readable
from keyrack.server.table import uncharged
from keyrack.sessions.exchange import Sessions
from keyrack.stores.opened import Stores
from keyrack.tenancy import Tenants

ETag = Annotated[
    str,
    Field(
        pattern=r'^(\*|"[0-9]{1,18}")$',
        description="Change nothing unless this is its `ETag`.",
        examples=['"17"'],
    ),
]
Token = Annotated[
    str, Field(pattern=r"^[!-~]{1,128}$", description="Do this once, however often it is sent within a day.")
]


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of the engine that routes call."""

    stores: Stores
    issuer: Issuer
    tenants: Tenants
    sessions: Sessions
    network_blocks: NetworkBlocks
    upstreams: Upstreams
    apis: Apis
    credit_balances: CreditBalances
    tally: Tally

    def present(self, keys: Sequence[Key]) -> list[dict[str, Any]]:
        """Keys as JSON values, with the use of each version as far as it is flushed."""
        uses = self.stores.journal.uses([key.id for key in keys])
        return [key_json(key, uses, self.now()) for key in keys]

    def present_change(self, key: Key) -> dict[str, Any]:
        """A key that was changed just now: that is said even while its use cannot be read."""
        return key_json(key, uses_if_readable(self.stores.journal, [key.id]), self.now())

    def now(self) -> datetime:
        """The store's time."""
        return datetime.fromtimestamp(self.stores.clock(), UTC)


def _engine(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _by(request: Request) -> Authority:
    """Who calls. A session is told that it changes nothing before anything of what it asks is read."""
    state = request.state.key
    address = None if state.address is None else str(state.address)
    path = request.url.path
    by = Authority.of(state.allowed, address=address, request_id=state.request_id, path=path)
    if request.method != "GET":
        by.refuse_session()
    return by


def _reader(request: Request) -> Authority:
    """Who reads keys: a holder of `keys:read` or `keys:manage`; its own, one of `self:rotate` as well."""
    needs = needed_to_read(_by(request), request.path_params.get("key_id"))
    request.state.key.require(uncharged(needs))
    return _by(request)


def _rotator(request: Request) -> Authority:
    """Who rotates a key: a holder of `keys:manage`, or of `self:rotate` its own."""
    needs = needed_to_rotate(_by(request), request.path_params["key_id"])
    request.state.key.require(uncharged(needs))
    return _by(request)


def _raw_body(request: Request) -> bytes:
    body: bytes = request.state.body
    return body


def _if_match(if_match: Annotated[ETag | None, Header()] = None) -> int | None:
    return None if if_match in (None, "*") else int(if_match.strip('"'))


def _once_header(idempotency_key: Annotated[Token | None, Header()] = None) -> str | None:
    return idempotency_key


Engine = Annotated[Services, Depends(_engine)]
By = Annotated[Authority, Depends(_by)]
Reader = Annotated[Authority, Depends(_reader)]
Rotator = Annotated[Authority, Depends(_rotator)]
RawBody = Annotated[bytes, Depends(_raw_body)]
IfMatch = Annotated[int | None, Depends(_if_match)]
OnceHeader = Annotated[str | None, Depends(_once_header)]
