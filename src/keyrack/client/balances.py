"""What users have left in each credit group, over the HTTP API: `client.credit_balances`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyrack.client.documents import Document, Documents
from keyrack.client.values import Page

if TYPE_CHECKING:
    from keyrack.client.calls import Calls

PATH, OWN_PATH = "/v1/credit-balances", "/v1/me/credit-balances"


class CreditBalances:
    """The balances of the caller's own tenant, or with `tenants:manage` of the one that is named.

    Fields and answers are those of the HTTP API. No answer holds a key.
    """

    def __init__(self, calls: Calls):
        self._calls = calls

    def find(
        self,
        *,
        tenant: str | None = None,
        search: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Document]:
        """One page of balances, in the order in which they were made. `search` is a part of a user's name."""
        query = {"search": search, "limit": limit, "cursor": cursor}
        return _page(self._at(tenant)("GET", query=query))

    def of(self, username: str, *, tenant: str | None = None) -> Page[Document]:
        """All balances of a user."""
        return self._at(tenant).page(username)

    def own(self) -> Page[Document]:
        """All balances of the owner of the client's key."""
        return Documents(self._calls, OWN_PATH, None).page()

    def amend(
        self, username: str, group: str, given: Mapping[str, Any], *, tenant: str | None = None
    ) -> Document:
        """Change `tier_name`, `available_credits`, `reset_date` or `user_api_key`; a missing one is made."""
        document: Document = self._at(tenant)("PATCH", username, group, body=given)
        return document

    def remove(self, username: str, group: str, *, tenant: str | None = None) -> None:
        """Take a user's balance away, and the user's own key."""
        self._at(tenant)("DELETE", username, group)

    def _at(self, tenant: str | None) -> Documents:
        return Documents(self._calls, PATH, tenant)


def _page(document: Document) -> Page[Document]:
    return Page(tuple(document["data"]), document["next_cursor"])
