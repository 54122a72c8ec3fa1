"""Where the commands on keys, tenants and the log are carried out: at a store, or by a server.

Documents are those of the HTTP API, so that both look the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from keyrack.cli.exits import Unanswered
from keyrack.cli.server_desk import ServerDesk
from keyrack.cli.session import opened
from keyrack.cli.store_desk import StoreDesk
from keyrack.client import Client
from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.settings import Settings
from keyrack.stores.urls import is_server
from keyrack.wishes import Wish

Document = dict[str, Any]


class Desk(Protocol):
    """What commands ask for. Every method raises a KeyrackError."""

    def mint(self, wish: Wish) -> Document:
        """A new key and its secret."""

    def find(self, *, tenant: str | None, owner: str | None, limit: int, cursor: int) -> Document:
        """A page of keys."""

    def get(self, key_id: str) -> Document:
        """A key."""

    def update(self, key_id: str, changes: Mapping[str, Any], *, if_match: int | None) -> Document:
        """A key with other fields."""

    def rotate(
        self,
        key_id: str,
        *,
        grace_seconds: int | None,
        compromised: bool,
        force: bool,
        if_match: int | None,
    ) -> Document:
        """A key and its new secret."""

    def change(self, key_id: str, operation: str, *, if_match: int | None) -> Document:
        """A key after `promote`, `abort`, `undo`, `disable` or `enable`."""

    def revoke(self, key_id: str, *, reason: str | None, wait: bool) -> Document:
        """A key that works nowhere any more."""

    def create_tenant(self, tenant_id: str, wish: Mapping[str, Any]) -> Document:
        """A new tenant."""

    def find_tenants(self, *, limit: int, cursor: int) -> Document:
        """A page of tenants."""

    def get_tenant(self, tenant_id: str) -> Document:
        """A tenant."""

    def update_tenant(self, tenant_id: str, changes: Mapping[str, Any], *, if_match: int | None) -> Document:
        """A tenant with other fields."""

    def suspend(self, tenant_id: str, service: str, *, reason: str | None, wait: bool) -> Document:
        """A tenant that is refused a service."""

    def resume(self, tenant_id: str, service: str, *, reason: str | None) -> Document:
        """A tenant that has it again."""

    def delete_tenant(self, tenant_id: str, *, if_match: int | None, wait: bool) -> Document:
        """What is left of a tenant."""

    def block_network(
        self, cidr: str, *, reason: str | None, expires_at: str | None, tenant: str | None
    ) -> Document:
        """A network that is refused to a tenant's keys."""

    def network_blocks(self, *, tenant: str | None) -> Document:
        """All of those that stand."""

    def lift_block(self, block_id: str, *, tenant: str | None) -> None:
        """Let a network be used from again."""

    def events(self, *, tenant: str | None, subject: str | None, limit: int, cursor: int) -> Document:
        """A page of the log."""

    def head(self) -> int:
        """The number of the last event."""

    def denials(self, *, tenant: str | None, limit: int, cursor: int) -> Document:
        """A page of refusals."""


@contextmanager
def at_desk(store: str | None) -> Iterator[Desk]:
    """The desk of the store or server of this URL, or of the settings."""
    settings = Settings.read(store=store)
    if is_server(settings.store):
        with client_of(settings) as client:
            yield ServerDesk(client)
    else:
        with opened(store) as session:
            yield StoreDesk(session)


@contextmanager
def client_of(settings: Settings) -> Iterator[Client]:
    """A client of the server that the settings name, with their key. Its trouble is Unanswered."""
    if settings.key is None:
        raise ConfigurationError("KEYRACK_KEY", "is missing; a server asks for a key.")
    with Client(settings.store, key=settings.key) as client:
        try:
            yield client
        except Unavailable as error:
            raise Unanswered(error.detail) from error
