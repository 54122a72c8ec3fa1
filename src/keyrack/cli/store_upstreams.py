"""The commands on credit groups and APIs, carried out at a store, in the name of its operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyrack.cli.session import Session
from keyrack.client import Page
from keyrack.core.upstream import Upstream
from keyrack.gateway.admin.apis import Apis
from keyrack.gateway.admin.presenting import (
    api_json,
    history_json,
    rotation_json,
    upstream_json,
    use_if_readable,
    versions_json,
)
from keyrack.gateway.admin.upstreams import Upstreams
from keyrack.gateway.monitoring.tally import Tally
from keyrack.vault.secrets import Vault

Document = dict[str, Any]
Given = Mapping[str, Any]


class StoreUpstreams:
    """See keyrack.cli.upstream_desk.UpstreamDesk."""

    def __init__(self, session: Session, vault: Vault):
        self._session = session
        self._by = session.by
        self._upstreams = Upstreams(session.stores, vault)
        self._tally = Tally(session.stores)

    def create(self, given: Given, *, tenant: str | None) -> Document:
        return self._group(self._upstreams.create(given, by=self._by, tenant=tenant))

    def find(self, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        found, following = self._upstreams.find(
            by=self._by, tenant=tenant, after=int(cursor or 0), most=limit
        )
        return _page([self._group(one) for one in found], following)

    def get(self, group: str, *, tenant: str | None) -> Document:
        return self._group(self._upstreams.get(group, by=self._by, tenant=tenant))

    def update(self, group: str, given: Given, *, tenant: str | None, if_match: int | None) -> Document:
        return self._group(
            self._upstreams.update(group, given, by=self._by, tenant=tenant, if_match=if_match)
        )

    def delete(self, group: str, *, tenant: str | None, if_match: int | None) -> None:
        self._upstreams.delete(group, by=self._by, tenant=tenant, if_match=if_match)

    def versions(self, group: str, *, tenant: str | None) -> Page[Document]:
        upstream = self._upstreams.get(group, by=self._by, tenant=tenant)
        use = self._tally.use_of(upstream)
        return _page(versions_json(upstream, use, self._session.now()), None)

    def history(self, group: str, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        found, following = self._upstreams.history(
            group, by=self._by, tenant=tenant, after=int(cursor or 0), most=limit
        )
        return _page([history_json(one) for one in found], following)

    def rotate(self, group: str, given: Given, *, tenant: str | None, if_match: int | None) -> Document:
        return self._rotation(
            self._upstreams.rotate(group, given, by=self._by, tenant=tenant, if_match=if_match)
        )

    def rotation(self, group: str, *, tenant: str | None) -> Document:
        return self._rotation(self._upstreams.get(group, by=self._by, tenant=tenant))

    def change_rotation(
        self, group: str, given: Given, *, tenant: str | None, if_match: int | None
    ) -> Document:
        return self._rotation(
            self._upstreams.change_rotation(group, given, by=self._by, tenant=tenant, if_match=if_match)
        )

    def promote(self, group: str, *, destroy: bool, tenant: str | None, if_match: int | None) -> Document:
        return self._rotation(
            self._upstreams.promote(group, by=self._by, tenant=tenant, if_match=if_match, destroy=destroy)
        )

    def abort(self, group: str, *, tenant: str | None, if_match: int | None) -> Document:
        return self._rotation(self._upstreams.abort(group, by=self._by, tenant=tenant, if_match=if_match))

    def undo(self, group: str, *, tenant: str | None, if_match: int | None) -> Document:
        return self._rotation(self._upstreams.undo(group, by=self._by, tenant=tenant, if_match=if_match))

    def _group(self, upstream: Upstream) -> Document:
        return upstream_json(upstream, use_if_readable(self._tally, upstream), self._session.now())

    def _rotation(self, upstream: Upstream) -> Document:
        return rotation_json(upstream, use_if_readable(self._tally, upstream), self._session.now())


class StoreApis:
    """See keyrack.cli.upstream_desk.ApiDesk."""

    def __init__(self, session: Session, vault: Vault):
        self._by = session.by
        self._apis = Apis(session.stores, vault)

    def create(self, given: Given, *, tenant: str | None) -> Document:
        return api_json(self._apis.create(given, by=self._by, tenant=tenant))

    def find(self, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        found, following = self._apis.find(by=self._by, tenant=tenant, after=int(cursor or 0), most=limit)
        return _page([api_json(one) for one in found], following)

    def get(self, name: str, version: str, *, tenant: str | None) -> Document:
        return api_json(self._apis.get(name, version, by=self._by, tenant=tenant))

    def update(
        self, name: str, version: str, given: Given, *, tenant: str | None, if_match: int | None
    ) -> Document:
        return api_json(
            self._apis.update(name, version, given, by=self._by, tenant=tenant, if_match=if_match)
        )

    def delete(self, name: str, version: str, *, tenant: str | None, if_match: int | None) -> None:
        self._apis.delete(name, version, by=self._by, tenant=tenant, if_match=if_match)


def _page(data: list[Document], following: int | None) -> Page[Document]:
    return Page(tuple(data), None if following is None else str(following))
