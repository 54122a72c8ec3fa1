"""APIs that callers reach through the gateway, over the HTTP API: `client.apis`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyrack.client.documents import Document, Documents
from keyrack.client.values import Page

if TYPE_CHECKING:
    from keyrack.client.calls import Calls

PATH = "/v1/apis"


class Apis:
    """The APIs of the caller's own tenant, or with `tenants:manage` of the one that is named.

    Fields and answers are those of the HTTP API.
    """

    def __init__(self, calls: Calls):
        self._calls = calls

    def create(self, given: Mapping[str, Any], *, tenant: str | None = None) -> Document:
        """Make an API: `api_name`, `api_version`, `api_servers` and others; Conflict (`api_exists`)."""
        document: Document = self._at(tenant)("POST", body=given)
        return document

    def find(
        self, *, tenant: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Document]:
        """One page of APIs, in the order in which they were made."""
        return self._at(tenant).page(limit=limit, cursor=cursor)

    def get(self, name: str, version: str, *, tenant: str | None = None) -> Document:
        """The document of an API. Raises NotFound (`api_not_found`)."""
        document: Document = self._at(tenant)("GET", name, version)
        return document

    def update(
        self,
        name: str,
        version: str,
        given: Mapping[str, Any],
        *,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Document:
        """Change fields; those left out stay."""
        document: Document = self._at(tenant)("PUT", name, version, body=given, if_match=if_match)
        return document

    def delete(
        self, name: str, version: str, *, tenant: str | None = None, if_match: int | None = None
    ) -> None:
        """Delete an API; its name and version may be used again."""
        self._at(tenant)("DELETE", name, version, if_match=if_match)

    def _at(self, tenant: str | None) -> Documents:
        return Documents(self._calls, PATH, tenant)
