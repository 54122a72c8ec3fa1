"""The HTTP API from Python: one method for each operation, values in and out, one error class a code.

Retried are only calls that can be made twice: what reads, what decides, what is idempotent by nature,
and minting and rotating, which carry an Idempotency-Key of this client's making.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from keyrack.client import reading
from keyrack.client.apis import Apis
from keyrack.client.balances import CreditBalances
from keyrack.client.blocks import NetworkBlocks
from keyrack.client.upstreams import Upstreams
from keyrack.client.values import Answer, Health, KeyView, NewKey, NewSession, Page
from keyrack.core.errors import ConfigurationError, Unavailable
from keyrack.core.events import Event
from keyrack.core.model import Limit, Tenant
from keyrack.core.records import write_time
from keyrack.stores.journal import Refusal
from keyrack.wishes import Wish

if TYPE_CHECKING:
    import httpx

    from keyrack.client.calls import Calls

T = TypeVar("T")
PAGE = 100
WAIT_SECONDS = 90.0
"""How long a revocation may wait for the nodes of a store, whose max_stale is below that."""
FEED_SECONDS = 5.0
"""How long an answer of the feed may take beyond what it was asked to wait."""


class Client:
    """Calls one server with one key. Share it between threads, and close it: `with Client(url, key=…)`.

    `timeout` is in seconds for each attempt, `retries` how often a call is made again that can be made
    twice. Every method raises a KeyrackError; Unavailable where the server cannot be reached. `url` is
    https://…, or http:// to this machine; `transport` is httpx's, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ):
        self._calls = open_calls(url, key=key, timeout=timeout, retries=retries, transport=transport)
        self.network_blocks = NetworkBlocks(self._calls)
        """Where no key of a tenant may be used from."""
        self.upstreams = Upstreams(self._calls)
        """Credit groups, with the keys that upstreams are sent."""
        self.credit_balances = CreditBalances(self._calls)
        """What users have left in each group."""
        self.apis = Apis(self._calls)
        """What callers reach through the gateway."""

    def close(self) -> None:
        """Close every connection."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<keyrack.Client>"

    # Keys

    def mint(self, wish: Wish | str, **more: Any) -> NewKey:
        """Make a key, of a Wish or of its name and fields: `mint("ci", scopes=["logs:read"])`."""
        wanted = wish if isinstance(wish, Wish) else Wish(wish, **more)
        body = {one.name: getattr(wanted, one.name) for one in fields(Wish)}
        given = {name: _json(value) for name, value in body.items() if value is not None}
        return reading.read_new_key(self._create("/v1/keys", given))

    def find(
        self,
        *,
        tenant: str | None = None,
        owner: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[KeyView]:
        """One page of keys, in the order in which they were made."""
        query = {"tenant": tenant, "owner": owner, "limit": limit, "cursor": cursor}
        return reading.read_page(self._get("/v1/keys", query), reading.read_key_view)

    def keys(self, *, tenant: str | None = None, owner: str | None = None) -> Iterator[KeyView]:
        """All keys, page by page as they are taken."""
        return _all(lambda cursor: self.find(tenant=tenant, owner=owner, limit=PAGE, cursor=cursor))

    def get(self, key_id: str) -> KeyView:
        """A key, with each version of its secret. Raises NotFound."""
        return reading.read_key_view(self._get(_key(key_id)))

    def update(self, key_id: str, changes: Mapping[str, Any], *, if_match: int | None = None) -> KeyView:
        """Change fields; those left out stay, None clears. Raises PreconditionFailed for a stale if_match."""
        body = {name: _json(value) for name, value in changes.items()}
        changed = self._call("PATCH", _key(key_id), body, if_match=if_match, again=if_match is None)
        return reading.read_key_view(changed)

    def disable(self, key_id: str, *, if_match: int | None = None) -> KeyView:
        """Stop a key until it is enabled again."""
        return self._change(key_id, "disable", if_match=if_match, again=if_match is None)

    def enable(self, key_id: str, *, if_match: int | None = None) -> KeyView:
        """Let a disabled key work again."""
        return self._change(key_id, "enable", if_match=if_match, again=if_match is None)

    def revoke(self, key_id: str, *, reason: str | None = None, wait: bool = False) -> KeyView:
        """End a key for good; with `wait` return once no node can accept it any more."""
        body = {"reason": reason, "wait": wait}
        patience = WAIT_SECONDS if wait else None
        path = f"{_key(key_id)}/revoke"
        return reading.read_key_view(self._call("POST", path, body, again=True, read_seconds=patience))

    def rotate(
        self,
        key_id: str,
        *,
        grace_seconds: int | None = None,
        compromised: bool = False,
        force: bool = False,
        if_match: int | None = None,
    ) -> NewKey:
        """Give a key a new secret; the others work on for the grace, a day unless it is given."""
        body = {"grace_seconds": grace_seconds, "compromised": compromised, "force": force}
        return reading.read_new_key(self._create(f"{_key(key_id)}/rotation", body, if_match=if_match))

    def rotation(self, key_id: str) -> KeyView:
        """The key, with the state of its rotation."""
        return reading.read_key_view(self._get(f"{_key(key_id)}/rotation"))

    def promote(self, key_id: str, *, if_match: int | None = None) -> KeyView:
        """End the grace early."""
        return self._change(key_id, "rotation/promote", if_match=if_match)

    def abort(self, key_id: str, *, if_match: int | None = None) -> KeyView:
        """Drop the new secret."""
        return self._change(key_id, "rotation/abort", if_match=if_match)

    def undo(self, key_id: str, *, if_match: int | None = None) -> KeyView:
        """Bring the old secret back."""
        return self._change(key_id, "rotation/undo", if_match=if_match)

    def me(self) -> KeyView:
        """The key that this client presents."""
        return reading.read_key_view(self._get("/v1/me"))

    def give_up(self) -> KeyView:
        """Revoke the key that this client presents, or the one secret of it that is on its way out."""
        return reading.read_key_view(self._call("POST", "/v1/me/revoke", {}))

    def exchange(self, **wish: Any) -> NewSession:
        """A short-lived token that can do no more than this key: `scopes`, `ttl_seconds`, `audience`."""
        return reading.read_session(self._call("POST", "/v1/sessions", wish, again=True))

    def session_keys(self) -> Mapping[str, Any]:
        """The public keys of sessions, as a JWK set (RFC 7517)."""
        keys: Mapping[str, Any] = self._get("/.well-known/jwks.json")
        return keys

    # Decisions

    def verify(self, key: str, **question: Any) -> Answer:
        """Decide on a key: `scopes`, `tenant`, `ip`, `cost`, `explain`, `environments`, `service`."""
        asked = {"key": key, **question}
        return reading.read_answer(self._call("POST", "/v1/verify", asked, again=True))

    def verify_batch(self, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
        """Decide on up to 100 keys, in order; each question is a mapping with `key`."""
        answered = self._call("POST", "/v1/verify/batch", list(questions), again=True)
        return tuple(reading.read_answer(one) for one in answered["data"])

    def prove(self, key: str, *, ip: str | None = None) -> Mapping[str, Any]:
        """Which key this text is, as the JSON that a remote store reads; nothing is checked or spent."""
        proved: Mapping[str, Any] = self._call("POST", "/v1/prove", {"key": key, "ip": ip}, again=True)
        return proved

    def report_uses(
        self, uses: Iterable[Mapping[str, Any]], *, report: Mapping[str, Any] | None = None
    ) -> None:
        """Tell the server of keys that passed elsewhere: `key_id`, `version`, `uses`, and two ages.

        `report` is your `node` and the `number` of this report; one that was taken is not taken again.
        """
        self._call("POST", "/v1/usage", {"uses": list(uses), "report": report})

    def feed(
        self,
        *,
        after: int | None = None,
        hash: str | None = None,  # noqa: A002 - the member's name in the API
        wait: float = 0,
        limit: int | None = None,
        node: str | None = None,
    ) -> Mapping[str, Any]:
        """What changed behind a number, waiting up to `wait` seconds for it; as JSON."""
        query = {"after": after, "hash": hash, "wait": wait, "limit": limit, "node": node}
        page: Mapping[str, Any] = self._call(
            "GET", "/v1/feed", query=query, again=True, read_seconds=wait + FEED_SECONDS
        )
        return page

    def leave_feed(self, node: str) -> None:
        """Have no revocation wait for this node any more."""
        self._call("DELETE", f"/v1/feed/{quote(node, safe='')}", again=True)

    # Tenants

    def create_tenant(self, tenant_id: str, **given: Any) -> Tenant:
        """Make a tenant: `name`, `starts_at`, `ends_at`, `limits`, `quota`, `metadata`."""
        body = {"id": tenant_id, **{name: _json(value) for name, value in given.items()}}
        return reading.read_tenant_view(self._call("POST", "/v1/tenants", body))

    def find_tenants(self, *, limit: int = 50, cursor: str | None = None) -> Page[Tenant]:
        """One page of tenants."""
        query = {"limit": limit, "cursor": cursor}
        return reading.read_page(self._get("/v1/tenants", query), reading.read_tenant_view)

    def tenants(self) -> Iterator[Tenant]:
        """All tenants, page by page as they are taken."""
        return _all(lambda cursor: self.find_tenants(limit=PAGE, cursor=cursor))

    def get_tenant(self, tenant_id: str) -> Tenant:
        """A tenant. Raises NotFound."""
        return reading.read_tenant_view(self._get(_tenant(tenant_id)))

    def update_tenant(
        self, tenant_id: str, changes: Mapping[str, Any], *, if_match: int | None = None
    ) -> Tenant:
        """Change fields; those left out stay, None clears."""
        body = {name: _json(value) for name, value in changes.items()}
        changed = self._call("PATCH", _tenant(tenant_id), body, if_match=if_match, again=if_match is None)
        return reading.read_tenant_view(changed)

    def delete_tenant(self, tenant_id: str, *, if_match: int | None = None) -> None:
        """End a tenant and all of its keys, for good."""
        self._call("DELETE", _tenant(tenant_id), if_match=if_match)

    def export_tenant(self, tenant_id: str) -> list[dict[str, Any]]:
        """All that is known of a tenant: itself, keys, events, refusals, each with its `kind`; last an `end`.

        Raises NotFound, NotHeld, and Unavailable for an export that was cut off.
        """
        lines: list[dict[str, Any]] = self._get(f"{_tenant(tenant_id)}/export")
        if not lines or lines[-1].get("kind") != "end":
            raise Unavailable("The export was cut off.")
        return lines

    def suspend_tenant(self, tenant_id: str, service: str, *, reason: str | None = None) -> Tenant:
        """Refuse a service to a tenant: `ingest`, `query`, or all with `workspace`."""
        return self._switch(tenant_id, "suspend", service, reason)

    def resume_tenant(self, tenant_id: str, service: str, *, reason: str | None = None) -> Tenant:
        """Give a service back."""
        return self._switch(tenant_id, "resume", service, reason)

    # The record of what happened

    def find_events(
        self,
        *,
        tenant: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Event]:
        """One page of the log."""
        query = {"tenant": tenant, "subject": subject, "limit": limit, "cursor": cursor}
        return reading.read_page(self._get("/v1/events", query), reading.read_event_view)

    def events(self, *, tenant: str | None = None, subject: str | None = None) -> Iterator[Event]:
        """The whole log, page by page as it is taken."""
        return _all(
            lambda cursor: self.find_events(tenant=tenant, subject=subject, limit=PAGE, cursor=cursor)
        )

    def find_denials(
        self, *, tenant: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Refusal]:
        """One page of refusals."""
        query = {"tenant": tenant, "limit": limit, "cursor": cursor}
        return reading.read_page(self._get("/v1/denials", query), reading.read_refusal)

    def denials(self, *, tenant: str | None = None) -> Iterator[Refusal]:
        """All refusals that are kept, page by page as they are taken."""
        return _all(lambda cursor: self.find_denials(tenant=tenant, limit=PAGE, cursor=cursor))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Any operation, JSON in and JSON out; made once, unless it reads."""
        return self._call(method, path, body, again=method == "GET")

    # The server itself

    def lives(self) -> bool:
        """Whether the server answers at all."""
        try:
            self._get("/livez")
        except Unavailable:
            return False
        return True

    def health(self) -> Health:
        """Whether the server can decide. Raises Unavailable when it says that it cannot."""
        return reading.read_health(self._get("/readyz"))

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._call("GET", path, query=query or {}, again=True)

    def _change(
        self, key_id: str, operation: str, *, if_match: int | None = None, again: bool = False
    ) -> KeyView:
        path = f"{_key(key_id)}/{operation}"
        return reading.read_key_view(self._call("POST", path, {}, if_match=if_match, again=again))

    def _switch(self, tenant_id: str, operation: str, service: str, reason: str | None) -> Tenant:
        body = {"service": service, "reason": reason}
        return reading.read_tenant_view(
            self._call("POST", f"{_tenant(tenant_id)}/{operation}", body, again=True)
        )

    def _create(self, path: str, body: Mapping[str, Any], *, if_match: int | None = None) -> Any:
        """A call that shows a secret once: it is made once, however often it is sent."""
        once = {"idempotency-key": secrets.token_urlsafe(24)}
        return self._call("POST", path, body, headers=once, if_match=if_match, again=True)

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        if_match: int | None = None,
        **options: Any,
    ) -> Any:
        from keyrack.client.calls import Call

        matched = {} if if_match is None else {"if-match": f'"{if_match}"'}
        return self._calls(Call(method, path, body, headers={**(headers or {}), **matched}, **options))


def open_calls(url: str, **options: Any) -> Calls:
    """The HTTP library is loaded here and not before. Raises ConfigurationError where it is missing."""
    try:
        from keyrack.client.calls import Calls
    except ModuleNotFoundError:
        raise ConfigurationError("keyrack.Client", "needs `pip install 'keyrack[client]'`.") from None
    return Calls(url, **options)


def _all(page: Callable[[str | None], Page[T]]) -> Iterator[T]:
    cursor: str | None = None
    while True:
        found = page(cursor)
        yield from found.data
        if found.next_cursor is None:
            return
        cursor = found.next_cursor


def _key(key_id: str) -> str:
    return f"/v1/keys/{quote(key_id, safe='')}"


def _tenant(tenant_id: str) -> str:
    return f"/v1/tenants/{quote(tenant_id, safe='')}"


def _json(value: Any) -> Any:
    """A value of a field as JSON has it."""
    if isinstance(value, datetime):
        return write_time(value)
    if isinstance(value, Limit):
        return {one.name: getattr(value, one.name) for one in fields(Limit)}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | dict) else str(value)
