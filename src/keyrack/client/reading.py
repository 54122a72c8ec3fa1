"""From the JSON of the API to values: the one place that knows both. Members of later versions are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, TypeVar

from keyrack.client.values import AddressView, Answer, Health, KeyView, NewKey, NewSession, Page, VersionView
from keyrack.core.errors import Unavailable
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Block, Key, Limit, Rate, Reason, Secret, Status, Tenant, VersionState
from keyrack.core.records import read_time, write_time
from keyrack.stores.journal import Refusal

Document = Mapping[str, Any]
T = TypeVar("T")
_KINDS = frozenset(kind.value for kind in EventKind)
_NOT_TOLD = b""
"""In place of a digest, which no server tells."""


def read_key_view(document: Document) -> KeyView:
    """A key."""
    return KeyView(
        **_known(KeyView, document)
        | {
            "scopes": tuple(document["scopes"]),
            "networks": tuple(ip_network(one) for one in document["networks"]),
            "limits": _limits(document["limits"]),
            "versions": tuple(_version(one) for one in document["versions"]),
            **_times(document, "expires_at", "created_at", "updated_at", "revoked_at"),
        }
    )


def read_new_key(document: Document) -> NewKey:
    """A key with its new secret."""
    return NewKey(read_key_view(document["key"]), document["secret"])


def read_answer(document: Document) -> Answer:
    """A decision."""
    told = _known(Answer, document) | {
        "scopes": tuple(document.get("scopes", ())),
        "limits": tuple(Rate(**one) for one in document.get("limits", ())),
        **_times(document, "expires_at"),
    }
    reason = document.get("reason")
    return Answer(**told | {"reason": None if reason is None else Reason(reason)})


def read_session(document: Document) -> NewSession:
    """A session with its token."""
    told = _known(NewSession, document) | {"scopes": tuple(document["scopes"])}
    return NewSession(**told | _times(document, "expires_at"))


def read_tenant_view(document: Document) -> Tenant:
    """A tenant."""
    return Tenant(
        **_known(Tenant, document)
        | {
            "suspended": tuple(document["suspended"]),
            "limits": _limits(document["limits"]),
            **_times(document, "starts_at", "ends_at", "created_at", "updated_at", "deleted_at"),
        }
    )


def read_block(document: Document) -> Block:
    """A network that is blocked."""
    told = _known(Block, document) | {"network": ip_network(document["cidr"])}
    return Block(**told | _times(document, "created_at", "expires_at"))


def read_event_view(document: Document) -> Event:
    """An event. Raises Unavailable for a kind that only a newer Keyrack knows."""
    if document["kind"] not in _KINDS:
        raise Unavailable(f"Event {document['number']} is of a kind that only a newer keyrack.Client knows.")
    return Event(**_known(Event, document) | {"kind": EventKind(document["kind"]), **_times(document, "at")})


def read_refusal(document: Document) -> Refusal:
    """A denial from the journal; its time is in Unix seconds."""
    told = {name: document[name] for name in Refusal._fields}
    return Refusal(
        **told | {"at": read_time(document["at"]).timestamp(), "reason": Reason(document["reason"])}
    )


def read_health(document: Document) -> Health:
    """What a server says of itself."""
    return Health(**_known(Health, {**document, **document["replica"]}))


def read_page(document: Document, read: Callable[[Document], T]) -> Page[T]:
    """A page of a list."""
    return Page(tuple(read(one) for one in document["data"]), document["next_cursor"])


def as_json(view: KeyView) -> dict[str, Any]:
    """A key as the API writes it: what `read_key_view` read."""
    return {field.name: _json(getattr(view, field.name)) for field in fields(view)}


def key_of(view: KeyView) -> Key:
    """The engine's value of a key, as far as decisions and handlers look at it: without digests."""
    same = {name: getattr(view, name) for name in _SHARED}
    status = Status.ACTIVE if view.status == "expired" else Status(view.status)
    versions = tuple(
        Secret(one.number, VersionState(one.state), one.created_at, "", _NOT_TOLD, one.not_after)
        for one in view.versions
    )
    return Key(**same, status=status, versions=versions, ending=view.hint[-4:])


def optional_time(text: str | None) -> datetime | None:
    """A time that need not be there."""
    return None if text is None else read_time(text)


_SHARED = {field.name for field in fields(Key)} & {field.name for field in fields(KeyView)} - {
    "status",
    "versions",
}


def _known(kind: Any, document: Document) -> dict[str, Any]:
    return {field.name: document[field.name] for field in fields(kind) if field.name in document}


def _times(document: Document, *names: str) -> dict[str, datetime | None]:
    return {name: optional_time(document.get(name)) for name in names}


def _limits(documents: list[Document]) -> tuple[Limit, ...]:
    return tuple(Limit(**one) for one in documents)


def _version(document: Document) -> VersionView:
    return VersionView(
        **_known(VersionView, document)
        | _times(document, "created_at", "not_after", "last_used_at")
        | {"addresses": tuple(_address(one) for one in document.get("addresses", ()))}
    )


def _address(document: Document) -> AddressView:
    return AddressView(document["address"], read_time(document["last_used_at"]))


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return write_time(value.astimezone(UTC))
    if isinstance(value, tuple):
        return [_json(one) for one in value]
    if isinstance(value, Limit | VersionView | AddressView):
        return {field.name: _json(getattr(value, field.name)) for field in fields(value)}
    return value if value is None or isinstance(value, str | int | float | dict) else str(value)
