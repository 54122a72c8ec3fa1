"""A copy of the store in memory that decisions read, and that says how old it is.

It keeps each record as its authenticated bytes and parses it on first use, so that a million keys
fit. It changes by the log alone, and only in the thread that follows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import chain

from keyrack.core import records
from keyrack.core.errors import Tampered
from keyrack.core.events import EMPTY, SUM_MODULUS, Head, fingerprint
from keyrack.core.model import Key, Tenant, VersionState
from keyrack.core.peppers import Pepper, Peppers
from keyrack.core.policy import Policy
from keyrack.core.prepared import Prepared, prepare
from keyrack.core.sealed import SealedSecret
from keyrack.core.session import SIGNING_PURPOSE
from keyrack.stores.protocols import Kind, Record, Snapshot
from keyrack.stores.sealing import authenticate, authenticated, refuse_retired

_KEY = Kind.KEY.value
MAX_PREPARED = 20_000
"""How many parsed keys are kept; beyond that all are let go, and parsed again when they are asked for."""


class _PreparedKeys(dict[str, Prepared]):
    """Prepared keys by id; one that is missing is prepared when it is asked for."""

    def __init__(self, prepare: Callable[[str], Prepared | None]):
        super().__init__()
        self._prepare = prepare

    def __missing__(self, key_id: str) -> Prepared | None:
        return self._prepare(key_id)


class Replica:
    """The keys, tenants and sealed secrets of a store as of `head`."""

    def __init__(self, peppers: Peppers, policy: Policy):
        self._peppers = peppers
        self._policy = policy
        self._changing = threading.Lock()
        self._bodies: dict[str, bytes] = {}
        self._prepared = _PreparedKeys(self._prepare)
        self.find: Callable[[str], Prepared | None] = self._prepared.__getitem__
        """The key of this id, or None: the replica is complete, so there is no such key."""
        self._foreign: dict[bytes, str] = {}
        self._foreign_of: dict[str, tuple[bytes, ...]] = {}
        self._foreign_peppers: tuple[str, ...] = ()
        self._tenant_bodies: dict[str, bytes] = {}
        self._secret_bodies: dict[str, bytes] = {}
        self._sum = 0
        self.tenants: dict[str, Tenant] = {}
        self.missing_tenants: set[str] = set()
        """Tenants without a record, of keys that were asked for: such a key is never decided on."""
        self.signing_keys: dict[str, SealedSecret] = {}
        """The sealed secrets that sign sessions, by the id that a token names; they are few."""
        self.head: Head = EMPTY

    def __len__(self) -> int:
        return len(self._bodies)

    def find_foreign(self, digest: bytes) -> Prepared | None:
        """The key that has a foreign version of this digest."""
        key_id = self._foreign.get(digest)
        return None if key_id is None else self.find(key_id)

    @property
    def foreign_peppers(self) -> tuple[str, ...]:
        """The peppers under which foreign texts are to be looked up; empty when there are none."""
        return self._foreign_peppers

    def load(self, snapshot: Snapshot, head: Head, *, needed_peppers: Iterable[str] = ()) -> None:
        """Take everything in. Raises Tampered unless the head vouches for exactly these records.

        `needed_peppers` are those that were not given; a live version that names one is refused.
        """
        pepper = self._peppers[head.state_pepper]
        named = [f'"pepper":"{pepper_id}"'.encode() for pepper_id in needed_peppers]
        total = 0
        for kind, record_id, body in authenticated(snapshot.records(), head, self._peppers):
            total += fingerprint(body, pepper)
            if named and any(name in body for name in named):
                self._require_peppers(records.read_key(body))
            self._take(kind, record_id, body)
        self._sum, self.head = total, head
        self.require_vouched()

    def apply(self, changed: Iterable[Record], head: Head) -> None:
        """Move on to `head` with the records that changed on the way.

        A record may be newer than `head` while more is to follow; `require_vouched` when nothing is.
        """
        for record in changed:
            refuse_retired(record.kind, record.id, record.pepper, head)
            authenticate(record.kind, record.id, record.body, record.pepper, record.mac, self._peppers)
            self._sum += self._gain(record)
            self._take(record.kind, record.id, record.body)
        if head.state_pepper != self.head.state_pepper:
            self._sum = self._sum_under(self._peppers[head.state_pepper])
        self.head = head

    def require_vouched(self) -> None:
        """Raise Tampered unless the records here are those that the head vouches for.

        Somebody may have put an old record back for the next change to build on: what that change
        leaves is well sealed, and only the sum tells that its predecessor was not the latest.
        """
        if self._sum % SUM_MODULUS != self.head.state:
            raise Tampered(
                "The records are not those that the log vouches for: one was altered, removed or put back."
            )

    def _gain(self, record: Record) -> int:
        pepper = self._peppers[self.head.state_pepper]
        before = self._bodies_of(record.kind).get(record.id)
        return fingerprint(record.body, pepper) - (fingerprint(before, pepper) if before else 0)

    def _bodies_of(self, kind: str) -> dict[str, bytes]:
        if kind == _KEY:
            return self._bodies
        return self._tenant_bodies if kind == Kind.TENANT else self._secret_bodies

    def _sum_under(self, pepper: Pepper) -> int:
        bodies = chain.from_iterable(self._bodies_of(kind).values() for kind in Kind)
        return sum(fingerprint(body, pepper) for body in bodies)

    def _require_peppers(self, key: Key) -> None:
        for version in key.versions:
            if version.state is VersionState.LIVE:
                self._peppers[version.pepper]

    def _take(self, kind: str, record_id: str, body: bytes) -> None:
        if kind != _KEY:
            take = self._take_tenant if kind == Kind.TENANT else self._take_secret
            take(record_id, body)
            return
        with self._changing:
            self._bodies[record_id] = body
            self._prepared.pop(record_id, None)
        # Foreign texts are found by digest, so that table is always whole; others parse on first use.
        if record_id in self._foreign_of or b'"foreign":true' in body:
            self._index(records.read_key(body))

    def _take_tenant(self, tenant_id: str, body: bytes) -> None:
        with self._changing:
            self._tenant_bodies[tenant_id] = body
            self.tenants[tenant_id] = records.read_tenant(body)
            self.missing_tenants.discard(tenant_id)
            self._prepared.clear()

    def _take_secret(self, secret_id: str, body: bytes) -> None:
        secret = records.read_secret(body)
        self._secret_bodies[secret_id] = body
        if secret.purpose == SIGNING_PURPOSE:
            self.signing_keys[secret.facts["kid"]] = secret

    def _index(self, key: Key) -> None:
        foreign = [version for version in key.versions if version.foreign]
        digests = dict.fromkeys((version.digest for version in foreign), key.id)
        # First what is there now, then what is gone: whoever looks meanwhile finds the key all the time.
        self._foreign.update(digests)
        for digest in self._foreign_of.get(key.id, ()):
            if digest not in digests:
                self._foreign.pop(digest, None)
        self._foreign_of[key.id] = tuple(digests)
        peppers = dict.fromkeys((*self._foreign_peppers, *(version.pepper for version in foreign)))
        self._foreign_peppers = tuple(peppers)

    def _prepare(self, key_id: str) -> Prepared | None:
        while (body := self._bodies.get(key_id)) is not None:
            key = records.read_key(body)
            tenant = self.tenants.get(key.tenant)
            prepared = prepare(key, tenant, self._peppers, self._policy)
            with self._changing:
                # The follower may have put newer ones in their place meanwhile, a revocation perhaps.
                # It holds the lock while it does, so what is kept is never older than the records.
                if self._bodies.get(key_id) is body and self.tenants.get(key.tenant) is tenant:
                    self._keep(key_id, prepared)
                    if tenant is None:
                        self.missing_tenants.add(key.tenant)
                    return prepared
        return None

    def _keep(self, key_id: str, prepared: Prepared) -> None:
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        self._prepared[key_id] = prepared
