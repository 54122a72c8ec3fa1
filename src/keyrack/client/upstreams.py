"""Credit groups over the HTTP API, with the keys of upstreams: `client.upstreams`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyrack.client.documents import Document, Documents
from keyrack.client.values import Page

if TYPE_CHECKING:
    from keyrack.client.calls import Calls

PATH = "/v1/credits"


class Upstreams:
    """The groups of the caller's own tenant, or with `tenants:manage` of the one that is named.

    Fields and answers are those of the HTTP API. No answer holds a key.
    """

    def __init__(self, calls: Calls):
        self._calls = calls

    def create(self, given: Mapping[str, Any], *, tenant: str | None = None) -> Document:
        """Make a group: `api_credit_group`, `api_key`, `api_key_header`, `credit_tiers` and others."""
        return self._document("POST", body=given, tenant=tenant)

    def find(
        self, *, tenant: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Document]:
        """One page of groups, in the order in which they were made."""
        return self._at(tenant).page(limit=limit, cursor=cursor)

    def get(self, group: str, *, tenant: str | None = None) -> Document:
        """A group, its key in the masked form. Raises NotFound (`group_not_found`)."""
        return self._document("GET", group, tenant=tenant)

    def update(
        self,
        group: str,
        given: Mapping[str, Any],
        *,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Document:
        """Change fields; those left out stay. `api_key` alone replaces the key."""
        return self._document("PUT", group, body=given, tenant=tenant, if_match=if_match)

    def delete(self, group: str, *, tenant: str | None = None, if_match: int | None = None) -> None:
        """Erase the keys of a group and the group. Raises Conflict (`group_in_use`)."""
        self._at(tenant)("DELETE", group, if_match=if_match)

    def versions(self, group: str, *, tenant: str | None = None) -> Page[Document]:
        """The versions of a group's key, with the use of each."""
        return self._at(tenant).page(group, "versions")

    def history(
        self, group: str, *, tenant: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Document]:
        """One page of what was done to a group."""
        return self._at(tenant).page(group, "history", limit=limit, cursor=cursor)

    def rotate(
        self,
        group: str,
        given: Mapping[str, Any],
        *,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Document:
        """Start a rotation: `api_key_new`, with `grace_seconds`, `api_key_rotation_expires` or `plan`."""
        return self._document("POST", group, "rotation", body=given, tenant=tenant, if_match=if_match)

    def rotation(self, group: str, *, tenant: str | None = None) -> Document:
        """How far a rotation is, with what was sent in each of its hours."""
        return self._document("GET", group, "rotation", tenant=tenant)

    def change_rotation(
        self,
        group: str,
        given: Mapping[str, Any],
        *,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Document:
        """State a share, `rollout_percent`, or another end of grace, `api_key_rotation_expires`."""
        return self._document("PATCH", group, "rotation", body=given, tenant=tenant, if_match=if_match)

    def promote(
        self,
        group: str,
        *,
        destroy: bool = False,
        tenant: str | None = None,
        if_match: int | None = None,
    ) -> Document:
        """End grace early; with `destroy` the old key is erased at once."""
        body = {"destroy": destroy}
        return self._document(
            "POST", group, "rotation", "promote", body=body, tenant=tenant, if_match=if_match
        )

    def abort(self, group: str, *, tenant: str | None = None, if_match: int | None = None) -> Document:
        """Drop the new key."""
        return self._document("POST", group, "rotation", "abort", body={}, tenant=tenant, if_match=if_match)

    def undo(self, group: str, *, tenant: str | None = None, if_match: int | None = None) -> Document:
        """Bring the old key back, within a day of its end."""
        return self._document("POST", group, "rotation", "undo", body={}, tenant=tenant, if_match=if_match)

    def _document(self, method: str, *names: str, tenant: str | None, **options: Any) -> Document:
        document: Document = self._at(tenant)(method, *names, **options)
        return document

    def _at(self, tenant: str | None) -> Documents:
        return Documents(self._calls, PATH, tenant)
