"""Changes become commits: each with its Event, sealed and chained, grouped and in order of urgency.

A change is a function of a Draft. It reads the store as of the instant before the commit, decides,
and writes records with their events; when it raises, nothing of it is written and the others in
its group go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from keyrack.core.errors import ConfigurationError, KeyrackError, StoreMoved, Unavailable, Unsealable
from keyrack.core.events import SUM_MODULUS, Entry, Event, Head, fingerprint, seal
from keyrack.core.model import Key, Tenant
from keyrack.core.peppers import SETTING, Peppers
from keyrack.core.sealed import SealedSecret
from keyrack.core.upstream import Api, Upstream
from keyrack.stores import sealing
from keyrack.stores.heads import head_of, moved_to
from keyrack.stores.protocols import Batch, Keys, Kind, Mark, Record, View

MAX_GROUP = 100
T = TypeVar("T")
S = TypeVar("S", Key, Tenant, SealedSecret, Upstream, Api)


class Draft:
    """What one change sees and writes. Reads show what earlier changes of the same group wrote."""

    def __init__(self, view: View, peppers: Peppers, head: Head, base: Draft | None = None):
        self._view = view
        self._peppers = peppers
        self.head = head
        self.entries: list[Entry] = list(base.entries) if base else []
        self.records: list[Record] = list(base.records) if base else []
        self.marks: list[Mark] = list(base.marks) if base else []

    def key(self, key_id: str) -> Key | None:
        """A key as it would be now."""
        record = self._record(Kind.KEY, key_id)
        return None if record is None else sealing.open_key(record, self._peppers)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """A tenant as it would be now."""
        record = self._record(Kind.TENANT, tenant_id)
        return None if record is None else sealing.open_tenant(record, self._peppers)

    def secret(self, secret_id: str) -> SealedSecret | None:
        """A sealed secret as it would be now."""
        record = self._record(Kind.SECRET, secret_id)
        return None if record is None else sealing.open_secret(record, self._peppers)

    def upstream(self, upstream_id: str) -> Upstream | None:
        """An upstream as it would be now, a deleted one as well."""
        record = self._record(Kind.UPSTREAM, upstream_id)
        return None if record is None else sealing.open_upstream(record, self._peppers)

    def api(self, api_id: str) -> Api | None:
        """An API as it would be now, a deleted one as well."""
        record = self._record(Kind.API, api_id)
        return None if record is None else sealing.open_api(record, self._peppers)

    def keys_named(self, tenant: str, name: str) -> list[Key]:
        """The keys of a tenant that bear this name."""
        found = {record.id: record for record in self._view.named(tenant, name)}
        for record in self.records:
            if (record.kind, record.tenant, record.name) == (Kind.KEY, tenant, name):
                found[record.id] = record
            else:
                found.pop(record.id, None)
        return [sealing.open_key(record, self._peppers) for record in found.values()]

    def mark(self, token: bytes) -> Mark | None:
        """The mark of an operation that was done before."""
        ours = next((mark for mark in self.marks if mark.token == token), None)
        return ours or self._view.mark(token)

    def write_key(self, key: Key, event: Event) -> Key:
        """Write a key with the event that says why; returns it with its new revision."""
        return self._put(key, event)

    def write_tenant(self, tenant: Tenant, event: Event) -> Tenant:
        """Write a tenant with the event that says why; returns it with its new revision."""
        return self._put(tenant, event)

    def write_secret(self, secret: SealedSecret, event: Event) -> SealedSecret:
        """Write a sealed secret with the event that says why; returns it with its new revision."""
        return self._put(secret, event)

    def write_upstream(self, upstream: Upstream, event: Event) -> Upstream:
        """Write an upstream with the event that says why; returns it with its new revision."""
        return self._put(upstream, event)

    def write_api(self, api: Api, event: Event) -> Api:
        """Write an API with the event that says why; returns it with its new revision."""
        return self._put(api, event)

    def write_event(self, event: Event) -> None:
        """Write an event that is about the store itself."""
        self._seal(event, self.head.state)

    def changed_since(self, number: int) -> list[Record]:
        """The records that an event after this number is about, as they would be now."""
        found = {(record.kind, record.id): record for record in self._view.changed_since(number)}
        found.update({(record.kind, record.id): record for record in self.records})
        return list(found.values())

    def restate(self, event: Event, state: int, *, retired: tuple[str, ...]) -> None:
        """Write an event that moves the sum over all records under the first pepper.

        From it on nothing counts that is sealed under a retired pepper.
        """
        self.head = self.head._replace(
            state_pepper=self._peppers.first.id, base=self.head.number + 1, retired=retired
        )
        self._seal(event, state)

    def write_mark(self, mark: Mark) -> None:
        """Remember that an operation was done."""
        self.marks.append(mark)

    def batch(self) -> Batch:
        """What is to be committed."""
        return Batch(self.entries, self.records, self.marks)

    def _record(self, kind: Kind, record_id: str) -> Record | None:
        ours = (one for one in reversed(self.records) if (one.kind, one.id) == (kind, record_id))
        record = next(ours, None) or self._view.record(kind, record_id)
        if record is not None:
            sealing.refuse_retired(record.kind, record.id, record.pepper, self.head)
        return record

    def _put(self, value: S, event: Event) -> S:
        before = self._record(sealing.kind_of(value), value.id)
        written = replace(value, revision=self.head.number + 1)
        serial = before.serial if before else written.revision
        sealed = sealing.seal(written, self._peppers.first, serial=serial)
        self._write(sealed, before, replace(event, tenant=sealing.tenant_of(value), subject=value.id))
        return written

    def _write(self, record: Record, before: Record | None, event: Event) -> None:
        pepper = self._peppers[self._state_pepper()]
        state = self.head.state + fingerprint(record.body, pepper)
        if before is not None:
            state -= fingerprint(before.body, pepper)
        self.records.append(record)
        self._seal(event, state % SUM_MODULUS)

    def _seal(self, event: Event, state: int) -> None:
        entry, self.head = seal(
            event,
            before=self.head,
            state=state,
            state_pepper=self._state_pepper(),
            pepper=self._peppers.first,
        )
        self.entries.append(entry)

    def _state_pepper(self) -> str:
        return self.head.state_pepper or self._peppers.first.id


class _Waiting(Generic[T]):
    def __init__(self, change: Callable[[Draft], T], urgent: bool):
        self.change = change
        self.urgent = urgent
        self.done = False
        self.result: T
        self.error: BaseException | None = None


class Ledger:
    """The one way to change a store from this process.

    Callers wait in a queue; whoever finds nobody committing takes up to 100 of those that wait and
    commits them together. Revoke, disable and suspend go first.
    """

    def __init__(self, keys: Keys, peppers: Peppers):
        self._keys = keys
        self._peppers = peppers
        self._waiting: deque[_Waiting[object]] = deque()
        self._turn = threading.Condition()
        self._committing = False

    def commit(self, change: Callable[[Draft], T], *, urgent: bool = False) -> T:
        """Commit a change and return what it returned, or raise what it raised.

        Durable on return. Raises Unavailable when the store cannot be written.
        """
        waiting: _Waiting[T] = _Waiting(change, urgent)
        self._enqueue(waiting)
        while not self._finished_or_leading(waiting):
            self._lead()
        if waiting.error is not None:
            raise waiting.error
        return waiting.result

    def _enqueue(self, waiting: _Waiting[T]) -> None:
        with self._turn:
            put = self._waiting.appendleft if waiting.urgent else self._waiting.append
            put(waiting)  # type: ignore[arg-type]  # the queue holds changes of every result

    def _finished_or_leading(self, waiting: _Waiting[T]) -> bool:
        """Wait until this change is done (True) or it is this caller's turn to commit (False)."""
        with self._turn:
            while self._committing and not waiting.done:
                self._turn.wait()
            if not waiting.done:
                self._committing = True
            return waiting.done

    def _lead(self) -> None:
        with self._turn:
            group = [self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting)))]
        self._commit(group)
        with self._turn:
            for waiting in group:
                waiting.done = True
            self._committing = False
            self._turn.notify_all()

    def _commit(self, group: list[_Waiting[object]]) -> None:
        try:
            self._keys.commit(lambda view: self._plan(group, view))
        except BaseException as error:  # noqa: BLE001  # whatever it was, those that wait must hear of it
            innocent = [waiting for waiting in group if waiting.error is not error]
            if len(innocent) < len(group):
                self._commit(innocent)
                return
            for waiting in group:
                waiting.error = error

    def _plan(self, group: list[_Waiting[object]], view: View) -> Batch:
        last = view.last()
        head = head_of(last, self._keys, self._peppers)
        where = moved_to(last, self._peppers)
        if where is not None:
            raise StoreMoved(where)
        self._require_standing_pepper(head)
        whole = Draft(view, self._peppers, head)
        for waiting in group:
            whole = self._attempt(waiting, view, whole)
        return whole.batch()

    def _require_standing_pepper(self, head: Head) -> None:
        first = self._peppers.first.id
        if first in head.retired:
            raise ConfigurationError(
                SETTING, f"begins with {first!r}, which was rotated out; put {head.state_pepper!r} first."
            )

    def _attempt(self, waiting: _Waiting[object], view: View, whole: Draft) -> Draft:
        draft = Draft(view, self._peppers, whole.head, base=whole)
        waiting.error = None
        try:
            waiting.result = waiting.change(draft)
        except KeyrackError as error:
            if isinstance(error, Unavailable) and not isinstance(error, Unsealable):
                raise  # the store's own trouble: nobody in the group can be committed
            waiting.error = error
            return whole
        except Exception as error:
            # A fault in one change: the group is committed without it, see _commit.
            waiting.error = error
            raise
        return draft
