"""The commands on keys, tenants and the log, carried out at a store, in the name of its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from keyrack.cli import display
from keyrack.cli.session import Session
from keyrack.core import rotation
from keyrack.core.events import Entry, open_known
from keyrack.core.model import Key
from keyrack.key_changes import Minted
from keyrack.network_blocks import NetworkBlocks
from keyrack.presenting import (
    block_json,
    event_json,
    key_json,
    page_json,
    refusal_json,
    tenant_json,
    uses_if_readable,
)
from keyrack.stores.protocols import Excerpt, Kind, Listing
from keyrack.wishes import Wish


class StoreDesk:
    """See keyrack.cli.desk.Desk."""

    def __init__(self, session: Session):
        self._session = session
        self._stores = session.stores
        self._by = session.by
        self._issuer = session.issuer()
        self._tenants = session.tenants()
        self._blocks = NetworkBlocks(session.stores, spread=session.spread)

    def mint(self, wish: Wish) -> dict[str, Any]:
        return self._minted(self._issuer.mint(wish, by=self._by))

    def find(self, *, tenant: str | None, owner: str | None, limit: int, cursor: int) -> dict[str, Any]:
        listing = Listing(after=cursor, most=limit, tenant=tenant, owner=owner)
        found, following = self._issuer.find(listing, by=self._by)
        uses = self._stores.journal.uses([key.id for key in found])
        return page_json((key_json(key, uses, self._session.now()) for key in found), following)

    def get(self, key_id: str) -> dict[str, Any]:
        return self._shown(self._issuer.get(key_id, by=self._by))

    def update(self, key_id: str, changes: Mapping[str, Any], *, if_match: int | None) -> dict[str, Any]:
        return self._shown(self._issuer.update(key_id, changes, by=self._by, if_match=if_match))

    def rotate(
        self,
        key_id: str,
        *,
        grace_seconds: int | None,
        compromised: bool,
        force: bool,
        if_match: int | None,
    ) -> dict[str, Any]:
        default = timedelta(0) if compromised else rotation.DEFAULT_GRACE
        grace = default if grace_seconds is None else timedelta(seconds=grace_seconds)
        options: dict[str, Any] = {"compromised": compromised, "force": force, "if_match": if_match}
        return self._minted(self._issuer.rotate(key_id, by=self._by, grace=grace, **options))

    def change(self, key_id: str, operation: str, *, if_match: int | None) -> dict[str, Any]:
        operations = {
            "promote": self._issuer.promote,
            "abort": self._issuer.abort,
            "undo": self._issuer.undo,
            "disable": self._issuer.disable,
            "enable": self._issuer.enable,
        }
        return self._shown(operations[operation](key_id, by=self._by, if_match=if_match))

    def revoke(self, key_id: str, *, reason: str | None, wait: bool) -> dict[str, Any]:
        return self._shown(self._issuer.revoke(key_id, by=self._by, reason=reason, wait=wait))

    def create_tenant(self, tenant_id: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        return tenant_json(self._tenants.create(tenant_id, wish, by=self._by))

    def find_tenants(self, *, limit: int, cursor: int) -> dict[str, Any]:
        listing = Listing(Kind.TENANT, after=cursor, most=limit)
        found, following = self._tenants.find(listing, by=self._by)
        return page_json(map(tenant_json, found), following)

    def get_tenant(self, tenant_id: str) -> dict[str, Any]:
        return tenant_json(self._tenants.get(tenant_id, by=self._by))

    def update_tenant(
        self, tenant_id: str, changes: Mapping[str, Any], *, if_match: int | None
    ) -> dict[str, Any]:
        return tenant_json(self._tenants.update(tenant_id, changes, by=self._by, if_match=if_match))

    def suspend(self, tenant_id: str, service: str, *, reason: str | None, wait: bool) -> dict[str, Any]:
        return tenant_json(self._tenants.suspend(tenant_id, service, by=self._by, reason=reason, wait=wait))

    def resume(self, tenant_id: str, service: str, *, reason: str | None) -> dict[str, Any]:
        return tenant_json(self._tenants.resume(tenant_id, service, by=self._by, reason=reason))

    def delete_tenant(self, tenant_id: str, *, if_match: int | None, wait: bool) -> dict[str, Any]:
        return tenant_json(self._tenants.delete(tenant_id, by=self._by, if_match=if_match, wait=wait))

    def block_network(
        self, cidr: str, *, reason: str | None, expires_at: str | None, tenant: str | None
    ) -> dict[str, Any]:
        return block_json(
            self._blocks.add(cidr, by=self._by, reason=reason, expires_at=expires_at, tenant=tenant)
        )

    def network_blocks(self, *, tenant: str | None) -> dict[str, Any]:
        return page_json(map(block_json, self._blocks.all(by=self._by, tenant=tenant)), None)

    def lift_block(self, block_id: str, *, tenant: str | None) -> None:
        self._blocks.lift(block_id, by=self._by, tenant=tenant)

    def events(self, *, tenant: str | None, subject: str | None, limit: int, cursor: int) -> dict[str, Any]:
        excerpt = Excerpt(after=cursor, most=limit + 1, tenant=tenant, subject=subject)
        found = self._stores.keys.entries(excerpt)
        following = found[limit - 1].number if len(found) > limit else None
        return page_json(self._events(found[:limit]), following)

    def head(self) -> int:
        return self._session.head().number

    def denials(self, *, tenant: str | None, limit: int, cursor: int) -> dict[str, Any]:
        found = self._stores.journal.refusals(after=cursor, most=limit + 1, tenant=tenant)
        following = found[limit - 1][0] if len(found) > limit else None
        return page_json((refusal_json(refusal) for _, refusal in found[:limit]), following)

    def _events(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """Events as JSON values; those whose pepper is gone are shown all the same, and that is said."""
        peppers = self._stores.peppers
        gone = sorted({entry.pepper for entry in entries if peppers.get(entry.pepper) is None})
        if gone:
            named = ", ".join(gone)
            display.hint(f"Not authenticated here, for want of pepper {named}: `keyrack events check`.")
        return [event_json(open_known(entry, peppers)[0]) for entry in entries]

    def _minted(self, minted: Minted) -> dict[str, Any]:
        uses = uses_if_readable(self._stores.journal, [minted.key.id])
        return {"key": key_json(minted.key, uses, self._session.now()), "secret": minted.secret}

    def _shown(self, key: Key) -> dict[str, Any]:
        return key_json(key, self._stores.journal.uses([key.id]), self._session.now())
