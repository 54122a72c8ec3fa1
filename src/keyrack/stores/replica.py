"""A copy of the store in memory that decisions read, and that says how old it is.

It keeps each record as its authenticated bytes and parses it on first use, so that a million keys
fit. It changes by the log alone, and only in the thread that follows. One that may not hold all keys
takes in others when they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto

from keyrack.core import records
from keyrack.core.events import EMPTY, Head, fingerprint
from keyrack.core.model import Key, Tenant, VersionState
from keyrack.core.peppers import Peppers
from keyrack.core.policy import Policy
from keyrack.core.prepared import Prepared, prepare
from keyrack.core.sealed import SealedSecret
from keyrack.core.session import SIGNING_PURPOSE
from keyrack.core.upstream import SEND_PURPOSE, USER_PURPOSE, Api, Upstream
from keyrack.core.upstream_records import read_api, read_upstream
from keyrack.stores.holding import Records
from keyrack.stores.partial import PartialRecords
from keyrack.stores.protocols import Keys, Kind, Record, Snapshot
from keyrack.stores.sealing import authenticate, authenticated, refuse_retired
from keyrack.stores.whole import WholeRecords

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


class NotInMemory(LookupError):
    """Only the store can say whether there is a key of this id, and what it is now."""

    def __init__(self, key_id: str):
        super().__init__(key_id)
        self.key_id = key_id


class Brought(Enum):
    """What came of a read from the store."""

    HELD = auto()
    ABSENT = auto()
    OUTRUN = auto()
    """Replica and store were not at the same event of this key: to be read again."""


class Replica:
    """The keys, tenants, upstreams, APIs and sealed secrets of a store as of `head`.

    With `max_keys` it holds so many keys at most, and has to be told of others by `bring`.
    """

    def __init__(self, peppers: Peppers, policy: Policy, *, max_keys: int | None = None):
        self._peppers = peppers
        self._policy = policy
        self._changing = threading.Lock()
        self._prepared = _PreparedKeys(self._prepare)
        self._records: Records = WholeRecords(peppers)
        if max_keys is not None:
            self._records = PartialRecords(peppers, max_keys, self._prepared.clear)
        self.find: Callable[[str], Prepared | None] = self._prepared.__getitem__
        """The key of this id; None when there is none. Raises NotInMemory where only the store can tell."""
        self._foreign: dict[bytes, str] = {}
        self._foreign_of: dict[str, tuple[bytes, ...]] = {}
        self._foreign_peppers: tuple[str, ...] = ()
        self.tenants: dict[str, Tenant] = {}
        self.missing_tenants: set[str] = set()
        """Tenants without a record, of keys that were asked for: such a key is never decided on."""
        self.signing_keys: dict[str, SealedSecret] = {}
        """The sealed secrets that sign sessions, by the id that a token names; they are few."""
        self.upstreams: dict[str, Upstream] = {}
        self.apis: dict[str, Api] = {}
        """Both by id, deleted ones as well; they are few, like the secrets that upstreams are sent."""
        self.upstream_secrets: dict[str, SealedSecret] = {}
        self.user_secrets: set[tuple[str, str]] = set()
        """Tenant and name of every secret that is or was one user's own: nobody else has to be looked up."""
        self._takers: Mapping[str, Callable[[str, bytes], None]] = {
            Kind.TENANT: self._take_tenant,
            Kind.SECRET: self._take_secret,
            Kind.UPSTREAM: self._take_upstream,
            Kind.API: self._take_api,
        }
        self.head: Head = EMPTY

    def __len__(self) -> int:
        return len(self._records)

    @property
    def in_all(self) -> int:
        """How many keys the store has; of a partial replica a few in 10,000 less may be counted."""
        return self._records.in_all

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
        self._records.expect(snapshot)
        for kind, record_id, body in authenticated(snapshot.records(), head, self._peppers):
            if named and any(name in body for name in named):
                self._require_peppers(records.read_key(body))
            self._records.load(kind, record_id, body, fingerprint(body, pepper))
            self._take(kind, record_id, body)
        self.head = head
        self.require_vouched()

    def can_follow(self, head: Head) -> bool:
        """Whether it can move on to this head, or has to be loaded anew."""
        return self._records.can_follow(self.head, head)

    def apply(self, record: Record | None, head: Head) -> None:
        """Move on by one event to `head`, with the record that the event is about. Raises Tampered.

        A record may be newer than `head` while more is to follow; `require_vouched` when nothing is.
        """
        if record is not None:
            self._require_sealed(record, head)
        with self._changing:
            self._records.follow(record, self.head, head)
            if record is not None:
                self._take(record.kind, record.id, record.body)
            self.head = head

    def require_vouched(self) -> None:
        """Raise Tampered unless the records here are those that the head vouches for.

        Somebody may have put an old record back for the next change to build on: what that change
        leaves is well sealed, and only the sum tells that its predecessor was not the latest.
        """
        self._records.require_vouched(self.head)

    def bring(self, key_id: str, keys: Keys) -> Brought:
        """Read a key that is not held; one read of a key at a time. Raises Tampered, Unavailable.

        It comes in only if nothing was applied for it beyond the instant of the read.
        """
        with self._watching(key_id):
            number, record = keys.read(Kind.KEY, key_id)
            if record is None:
                return self._miss(key_id, number)
            # It has to be sealed as what was asked for, whatever the row says that it is.
            return self._admit(record._replace(kind=Kind.KEY, id=key_id), number)

    @contextmanager
    def _watching(self, key_id: str) -> Iterator[None]:
        with self._changing:
            self._records.watch(key_id)
        try:
            yield
        finally:
            with self._changing:
                self._records.unwatch(key_id)

    def _miss(self, key_id: str, number: int) -> Brought:
        with self._changing:
            return Brought.ABSENT if self._records.miss(key_id, number) else Brought.OUTRUN

    def _admit(self, record: Record, number: int) -> Brought:
        self._require_sealed(record, self.head)
        with self._changing:
            return Brought.HELD if self._records.admit(record, number, self.head) else Brought.OUTRUN

    def _require_sealed(self, record: Record, head: Head) -> None:
        refuse_retired(record.kind, record.id, record.pepper, head)
        authenticate(record.kind, record.id, record.body, record.pepper, record.mac, self._peppers)

    def _require_peppers(self, key: Key) -> None:
        for version in key.versions:
            if version.state is VersionState.LIVE:
                self._peppers[version.pepper]

    def _take(self, kind: str, record_id: str, body: bytes) -> None:
        if kind != _KEY:
            self._takers[kind](record_id, body)
            return
        self._prepared.pop(record_id, None)
        # Foreign texts are found by digest, so that table is always whole; others parse on first use.
        if record_id in self._foreign_of or b'"foreign":true' in body:
            self._index(records.read_key(body))

    def _take_tenant(self, tenant_id: str, body: bytes) -> None:
        self.tenants[tenant_id] = records.read_tenant(body)
        self.missing_tenants.discard(tenant_id)
        self._prepared.clear()

    def _take_secret(self, secret_id: str, body: bytes) -> None:
        secret = records.read_secret(body)
        if secret.purpose == SIGNING_PURPOSE:
            self.signing_keys[secret.facts["kid"]] = secret
        elif secret.purpose == SEND_PURPOSE:
            self.upstream_secrets[secret_id] = secret
        elif secret.purpose == USER_PURPOSE:
            self.user_secrets.add((secret.tenant, secret.name))

    def _take_upstream(self, upstream_id: str, body: bytes) -> None:
        self.upstreams[upstream_id] = read_upstream(body)

    def _take_api(self, api_id: str, body: bytes) -> None:
        self.apis[api_id] = read_api(body)

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
        while (body := self._records.get(key_id)) is not None:
            key = records.read_key(body)
            tenant = self.tenants.get(key.tenant)
            prepared = prepare(key, tenant, self._peppers, self._policy)
            with self._changing:
                # The follower may have put newer ones in their place meanwhile, a revocation perhaps.
                # It holds the lock while it does, so what is kept is never older than the records.
                if self._records.get(key_id) is body and self.tenants.get(key.tenant) is tenant:
                    self._keep(key_id, prepared)
                    if tenant is None:
                        self.missing_tenants.add(key.tenant)
                    return prepared
        with self._changing:
            is_lacking = self._records.lacks(key_id)
        if is_lacking:
            raise NotInMemory(key_id)
        return None

    def _keep(self, key_id: str, prepared: Prepared) -> None:
        if len(self._prepared) >= MAX_PREPARED:
            self._prepared.clear()
        self._records.use(key_id)
        self._prepared[key_id] = prepared
