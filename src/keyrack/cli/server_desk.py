"""The commands on keys, tenants and the log, carried out by a server, in the name of KEYRACK_KEY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from keyrack.cli import display
from keyrack.client import Client, NewKey, Page
from keyrack.client.reading import as_json
from keyrack.core.errors import InvalidRequest, KeyrackError
from keyrack.core.events import Event
from keyrack.presenting import block_json, event_json, page_json, refusal_json, tenant_json
from keyrack.wishes import Wish

T = TypeVar("T")


class ServerDesk:
    """See keyrack.cli.desk.Desk."""

    def __init__(self, client: Client):
        self._client = client

    def mint(self, wish: Wish) -> dict[str, Any]:
        return _new(self._client.mint(wish))

    def find(self, *, tenant: str | None, owner: str | None, limit: int, cursor: int) -> dict[str, Any]:
        found = self._client.find(tenant=tenant, owner=owner, limit=limit, cursor=str(cursor))
        return _page(found, as_json)

    def get(self, key_id: str) -> dict[str, Any]:
        return as_json(self._client.get(key_id))

    def update(self, key_id: str, changes: Mapping[str, Any], *, if_match: int | None) -> dict[str, Any]:
        return as_json(self._client.update(key_id, changes, if_match=if_match))

    def rotate(self, key_id: str, **wish: Any) -> dict[str, Any]:
        return _new(self._client.rotate(key_id, **wish))

    def change(self, key_id: str, operation: str, *, if_match: int | None) -> dict[str, Any]:
        operations = {
            "promote": self._client.promote,
            "abort": self._client.abort,
            "undo": self._client.undo,
            "disable": self._client.disable,
            "enable": self._client.enable,
        }
        return as_json(operations[operation](key_id, if_match=if_match))

    def revoke(self, key_id: str, *, reason: str | None, wait: bool) -> dict[str, Any]:
        return as_json(self._client.revoke(key_id, reason=reason, wait=wait))

    def create_tenant(self, tenant_id: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        return tenant_json(self._client.create_tenant(tenant_id, **wish))

    def find_tenants(self, *, limit: int, cursor: int) -> dict[str, Any]:
        return _page(self._client.find_tenants(limit=limit, cursor=str(cursor)), tenant_json)

    def get_tenant(self, tenant_id: str) -> dict[str, Any]:
        return tenant_json(self._client.get_tenant(tenant_id))

    def update_tenant(
        self, tenant_id: str, changes: Mapping[str, Any], *, if_match: int | None
    ) -> dict[str, Any]:
        return tenant_json(self._client.update_tenant(tenant_id, changes, if_match=if_match))

    def suspend(self, tenant_id: str, service: str, *, reason: str | None, wait: bool) -> dict[str, Any]:
        _refuse_wait(wait)
        return tenant_json(self._client.suspend_tenant(tenant_id, service, reason=reason))

    def resume(self, tenant_id: str, service: str, *, reason: str | None) -> dict[str, Any]:
        return tenant_json(self._client.resume_tenant(tenant_id, service, reason=reason))

    def delete_tenant(self, tenant_id: str, *, if_match: int | None, wait: bool) -> dict[str, Any]:
        """Its last event says when, to whoever may read it; nobody can look at the tenant any more."""
        _refuse_wait(wait)
        tenant = self._client.get_tenant(tenant_id)
        self._client.delete_tenant(tenant_id, if_match=if_match)
        last = self._last_event(tenant_id)
        if last is None:
            display.hint("It is deleted. The log, which could not be read, says when.")
            return tenant_json(tenant)
        return tenant_json(replace(tenant, deleted_at=last.at, updated_at=last.at, revision=last.number))

    def block_network(self, cidr: str, **wish: Any) -> dict[str, Any]:
        return block_json(self._client.network_blocks.add(cidr, **wish))

    def network_blocks(self, *, tenant: str | None) -> dict[str, Any]:
        return page_json(map(block_json, self._client.network_blocks.all(tenant=tenant)), None)

    def lift_block(self, block_id: str, *, tenant: str | None) -> None:
        self._client.network_blocks.lift(block_id, tenant=tenant)

    def events(self, *, tenant: str | None, subject: str | None, limit: int, cursor: int) -> dict[str, Any]:
        found = self._client.find_events(tenant=tenant, subject=subject, limit=limit, cursor=str(cursor))
        return _page(found, event_json)

    def head(self) -> int:
        number: int = self._client.feed()["head"]
        return number

    def denials(self, *, tenant: str | None, limit: int, cursor: int) -> dict[str, Any]:
        return _page(self._client.find_denials(tenant=tenant, limit=limit, cursor=str(cursor)), refusal_json)

    def _last_event(self, subject: str) -> Event | None:
        """The newest that is told of it; None where the log is not told to this key, or not now."""
        try:
            told = list(self._client.events(subject=subject))
        except KeyrackError:
            return None
        return told[-1] if told else None


def _new(new: NewKey) -> dict[str, Any]:
    return {"key": as_json(new.key), "secret": new.secret}


def _page(page: Page[T], present: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    return {"data": [present(one) for one in page.data], "next_cursor": page.next_cursor}


def _refuse_wait(wait: bool) -> None:
    if wait:
        raise InvalidRequest("A server waits for revocations of keys alone; leave --wait out.")
