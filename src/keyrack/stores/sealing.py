"""Records sealed and opened: written to bytes, authenticated under the pepper that they name."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator

from keyrack.core import records
from keyrack.core.errors import Tampered
from keyrack.core.events import Head
from keyrack.core.model import Key, Tenant
from keyrack.core.peppers import Pepper, Peppers
from keyrack.core.sealed import SealedSecret
from keyrack.stores.protocols import Kind, Record


def seal_key(key: Key, pepper: Pepper, *, serial: int) -> Record:
    """The record of a key as of its revision."""
    body = records.write_key(key)
    return Record(
        Kind.KEY,
        key.id,
        key.revision,
        body,
        pepper.id,
        pepper.record.digest(sealed_text(Kind.KEY, key.id, body)),
        key.tenant,
        key.name,
        key.owner,
        serial,
    )


def seal_tenant(tenant: Tenant, pepper: Pepper, *, serial: int) -> Record:
    """The record of a tenant as of its revision."""
    body = records.write_tenant(tenant)
    return Record(
        Kind.TENANT,
        tenant.id,
        tenant.revision,
        body,
        pepper.id,
        pepper.record.digest(sealed_text(Kind.TENANT, tenant.id, body)),
        tenant.id,
        tenant.name,
        None,
        serial,
    )


def seal_secret(secret: SealedSecret, pepper: Pepper, *, serial: int) -> Record:
    """The record of a sealed secret as of its revision."""
    body = records.write_secret(secret)
    return Record(
        Kind.SECRET,
        secret.id,
        secret.revision,
        body,
        pepper.id,
        pepper.record.digest(sealed_text(Kind.SECRET, secret.id, body)),
        secret.tenant,
        secret.name,
        None,
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


def sealed_text(kind: str, record_id: str, body: bytes) -> bytes:
    """What a record's code is of: the id stands inside, so that records cannot be exchanged."""
    return f"{kind}/{record_id}/".encode() + body
