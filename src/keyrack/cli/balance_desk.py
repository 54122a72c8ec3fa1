"""Where the commands on balances are carried out: at a store, or by a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from keyrack.cli.desk import client_of
from keyrack.cli.secrets import given_master_keys
from keyrack.cli.session import Session, opened
from keyrack.client import Page
from keyrack.gateway.admin.balances import CreditBalances
from keyrack.gateway.admin.presenting import balance_json
from keyrack.settings import Settings
from keyrack.stores.urls import is_server
from keyrack.vault.secrets import Vault

Document = dict[str, Any]
Given = Mapping[str, Any]


class BalanceDesk(Protocol):
    """What commands on balances ask for. Every method raises a KeyrackError."""

    def find(
        self, *, tenant: str | None, search: str | None, limit: int, cursor: str | None
    ) -> Page[Document]:
        """A page of balances."""

    def of(self, username: str, *, tenant: str | None) -> Page[Document]:
        """The balances of a user."""

    def amend(self, username: str, group: str, given: Given, *, tenant: str | None) -> Document:
        """A balance with other fields."""

    def remove(self, username: str, group: str, *, tenant: str | None) -> None:
        """Take a balance away."""


class StoreBalances:
    """A BalanceDesk at a store, in the name of its operator."""

    def __init__(self, session: Session, vault: Vault):
        self._by = session.by
        self._balances = CreditBalances(session.stores, vault)

    def find(
        self, *, tenant: str | None, search: str | None, limit: int, cursor: str | None
    ) -> Page[Document]:
        found, following = self._balances.find(
            by=self._by, tenant=tenant, after=int(cursor or 0), most=limit, search=search or ""
        )
        return Page(tuple(map(balance_json, found)), None if following is None else str(following))

    def of(self, username: str, *, tenant: str | None) -> Page[Document]:
        return Page(tuple(map(balance_json, self._balances.of(username, by=self._by, tenant=tenant))), None)

    def amend(self, username: str, group: str, given: Given, *, tenant: str | None) -> Document:
        return balance_json(self._balances.amend(username, group, given, by=self._by, tenant=tenant))

    def remove(self, username: str, group: str, *, tenant: str | None) -> None:
        self._balances.remove(username, group, by=self._by, tenant=tenant)


@contextmanager
def at_balances(store: str | None) -> Iterator[BalanceDesk]:
    """The desk of the store or server of this URL, or of the settings."""
    settings = Settings.read(store=store)
    if is_server(settings.store):
        with client_of(settings) as client:
            yield client.credit_balances
        return
    vault = Vault(given_master_keys(store))
    with opened(store) as session:
        yield StoreBalances(session, vault)
