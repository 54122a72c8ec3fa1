"""Where the commands on credit groups and APIs are carried out: at a store, or by a server.

Documents are those of the HTTP API, so that both look the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from keyrack.cli.desk import client_of
from keyrack.cli.secrets import given_master_keys
from keyrack.cli.session import opened
from keyrack.cli.store_upstreams import StoreApis, StoreUpstreams
from keyrack.client import Page
from keyrack.settings import Settings
from keyrack.stores.urls import is_server
from keyrack.vault.secrets import Vault

Document = dict[str, Any]
Given = Mapping[str, Any]


class UpstreamDesk(Protocol):
    """What commands on groups ask for. Every method raises a KeyrackError."""

    def create(self, given: Given, *, tenant: str | None) -> Document:
        """A new group."""

    def find(self, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        """A page of groups."""

    def get(self, group: str, *, tenant: str | None) -> Document:
        """A group."""

    def update(self, group: str, given: Given, *, tenant: str | None, if_match: int | None) -> Document:
        """A group with other fields."""

    def delete(self, group: str, *, tenant: str | None, if_match: int | None) -> None:
        """Erase a group."""

    def versions(self, group: str, *, tenant: str | None) -> Page[Document]:
        """The versions of a group's key."""

    def history(self, group: str, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        """A page of what was done to a group."""

    def rotate(self, group: str, given: Given, *, tenant: str | None, if_match: int | None) -> Document:
        """A rotation that begins."""

    def rotation(self, group: str, *, tenant: str | None) -> Document:
        """How far a rotation is."""

    def change_rotation(
        self, group: str, given: Given, *, tenant: str | None, if_match: int | None
    ) -> Document:
        """A rotation with another share or end."""

    def promote(self, group: str, *, destroy: bool, tenant: str | None, if_match: int | None) -> Document:
        """A rotation that was ended early."""

    def abort(self, group: str, *, tenant: str | None, if_match: int | None) -> Document:
        """A rotation whose new key was dropped."""

    def undo(self, group: str, *, tenant: str | None, if_match: int | None) -> Document:
        """A rotation back to the old key."""


class ApiDesk(Protocol):
    """What commands on APIs ask for. Every method raises a KeyrackError."""

    def create(self, given: Given, *, tenant: str | None) -> Document:
        """A new API."""

    def find(self, *, tenant: str | None, limit: int, cursor: str | None) -> Page[Document]:
        """A page of APIs."""

    def get(self, name: str, version: str, *, tenant: str | None) -> Document:
        """An API."""

    def update(
        self, name: str, version: str, given: Given, *, tenant: str | None, if_match: int | None
    ) -> Document:
        """An API with other fields."""

    def delete(self, name: str, version: str, *, tenant: str | None, if_match: int | None) -> None:
        """Delete an API."""


class Desks(NamedTuple):
    """Both of one store or server."""

    upstreams: UpstreamDesk
    apis: ApiDesk


@contextmanager
def at_desks(store: str | None) -> Iterator[Desks]:
    """The desks of the store or server of this URL, or of the settings."""
    settings = Settings.read(store=store)
    if is_server(settings.store):
        with client_of(settings) as client:
            yield Desks(client.upstreams, client.apis)
        return
    vault = Vault(given_master_keys(store))
    with opened(store) as session:
        yield Desks(StoreUpstreams(session, vault), StoreApis(session, vault))
