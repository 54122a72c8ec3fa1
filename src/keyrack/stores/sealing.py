"""Records sealed and opened: written to bytes, authenticated under the pepper that they name."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from keyrack.core import records, upstream_records
from keyrack.core.errors import Tampered
from keyrack.core.events import Head
from keyrack.core.model import Key, Tenant
from keyrack.core.peppers import Pepper, Peppers
from keyrack.core.sealed import SealedSecret
from keyrack.core.upstream import Api, Upstream
from keyrack.stores.protocols import Kind, Record

Stored = Key | Tenant | SealedSecret | Upstream | Api
"""What records are of."""
T = TypeVar("T")


class _Form(NamedTuple, Generic[T]):
    """How values of a type are written: as which kind, and in what bytes."""

    kind: Kind
    write: Callable[[T], bytes]


_FORMS: Mapping[type, _Form[Any]] = {
    Key: _Form(Kind.KEY, records.write_key),
    Tenant: _Form(Kind.TENANT, records.write_tenant),
    SealedSecret: _Form(Kind.SECRET, records.write_secret),
    Upstream: _Form(Kind.UPSTREAM, upstream_records.write_upstream),
    Api: _Form(Kind.API, upstream_records.write_api),
}


def kind_of(value: Stored) -> Kind:
    """What the record of this value is of."""
    return _FORMS[type(value)].kind


def tenant_of(value: Stored) -> str:
    """The tenant that a record belongs to; a tenant's is its own."""
    return value.id if isinstance(value, Tenant) else value.tenant


def seal(value: Stored, pepper: Pepper, *, serial: int) -> Record:
    """The record of a value as of its revision."""
    form = _FORMS[type(value)]
    body = form.write(value)
    return Record(
        form.kind,
        value.id,
        value.revision,
        body,
        pepper.id,
        pepper.record.digest(sealed_text(form.kind, value.id, body)),
        tenant_of(value),
        value.name,
        value.owner if isinstance(value, Key) else None,
        serial,
    )


def authenticate(kind: str, record_id: str, body: bytes, pepper: str, mac: bytes, peppers: Peppers) -> None:
    """Refuse a record that was not sealed under this id by someone who has the pepper."""
    if not peppers[pepper].record.agrees(sealed_text(kind, record_id, body), mac):
        raise Tampered(f"The record of {kind} {record_id} does not authenticate.")


def refuse_retired(kind: str, record_id: str, pepper: str, head: Head) -> None:
    """Refuse a record under a pepper that was rotated out: all were sealed anew before that."""
    if pepper in head.retired:
        raise Tampered(f"The record of {kind} {record_id} is under a pepper that was rotated out.")


def authenticated(
    rows: Iterable[tuple[str, str, bytes, str, bytes]], head: Head, peppers: Peppers
) -> Iterator[tuple[str, str, bytes]]:
    """The kind, id and body of every record of a snapshot, each refused as by the two functions above.

    There may be a million of them, so the way of a good one is short.
    """
    digests = {pepper.id: pepper.record.digest for pepper in peppers if pepper.id not in head.retired}
    for kind, record_id, body, pepper, mac in rows:
        digest = digests.get(pepper)
        if digest is None or not hmac.compare_digest(digest(sealed_text(kind, record_id, body)), mac):
            refuse_retired(kind, record_id, pepper, head)
            authenticate(kind, record_id, body, pepper, mac, peppers)
        yield kind, record_id, body


def open_key(record: Record, peppers: Peppers) -> Key:
    """The key of a record, authenticated. Raises Tampered."""
    authenticate(record.kind, record.id, record.body, record.pepper, record.mac, peppers)
    return records.read_key(record.body)


def open_tenant(record: Record, peppers: Peppers) -> Tenant:
    """The tenant of a record, authenticated. Raises Tampered."""
    authenticate(record.kind, record.id, record.body, record.pepper, record.mac, peppers)
    return records.read_tenant(record.body)


def open_secret(record: Record, peppers: Peppers) -> SealedSecret:
    """The sealed secret of a record, authenticated; still sealed. Raises Tampered."""
    authenticate(record.kind, record.id, record.body, record.pepper, record.mac, peppers)
    return records.read_secret(record.body)


def open_upstream(record: Record, peppers: Peppers) -> Upstream:
    """The upstream of a record, authenticated. Raises Tampered."""
    authenticate(record.kind, record.id, record.body, record.pepper, record.mac, peppers)
    return upstream_records.read_upstream(record.body)


def open_api(record: Record, peppers: Peppers) -> Api:
    """The API of a record, authenticated. Raises Tampered."""
    authenticate(record.kind, record.id, record.body, record.pepper, record.mac, peppers)
    return upstream_records.read_api(record.body)


def sealed_text(kind: str, record_id: str, body: bytes) -> bytes:
    """What a record's code is of: the id stands inside, so that records cannot be exchanged."""
    return f"{kind}/{record_id}/".encode() + body
