"""The networks that a tenant's keys may not be used from, over the HTTP API: `client.network_blocks`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from keyrack.client.reading import read_block
from keyrack.core.model import Block
from keyrack.core.records import write_time

if TYPE_CHECKING:
    from keyrack.client.calls import Calls

PATH = "/v1/network-blocks"


class NetworkBlocks:
    """The blocks of the caller's own tenant, or with `tenants:manage` of the one that is named."""

    def __init__(self, calls: Calls):
        self._calls = calls

    def add(
        self,
        cidr: str,
        *,
        reason: str | None = None,
        expires_at: datetime | str | None = None,
        tenant: str | None = None,
    ) -> Block:
        """Refuse a network to all keys of a tenant, until that time or for good."""
        from keyrack.client.calls import Call

        until = write_time(expires_at) if isinstance(expires_at, datetime) else expires_at
        body = {"cidr": cidr, "reason": reason, "expires_at": until}
        return read_block(self._calls(Call("POST", PATH, body, query={"tenant": tenant})))

    def all(self, *, tenant: str | None = None) -> tuple[Block, ...]:
        """The blocks that stand, in the order in which they were made."""
        from keyrack.client.calls import Call

        page = self._calls(Call("GET", PATH, query={"tenant": tenant}, again=True))
        return tuple(read_block(one) for one in page["data"])

    def lift(self, block_id: str, *, tenant: str | None = None) -> None:
        """Let the keys be used from there again. Raises NotFound."""
        from keyrack.client.calls import Call

        self._calls(Call("DELETE", f"{PATH}/{quote(block_id, safe='')}", query={"tenant": tenant}))
