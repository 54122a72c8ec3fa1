"""Rotating the pepper: what stays believed behind it, and what does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pepper_bed import ADA, NEW, OLD, keys_in, mint, reopened

from keyrack import Authority, Issuer, Reason, open_stores
from keyrack.admin.founding import found
from keyrack.admin.peppering import rotate
from keyrack.core.errors import ConfigurationError, Conflict, NotHeld, Tampered
from keyrack.core.events import Event, EventKind, open_entry, seal
from keyrack.stores.follower import Follower
from keyrack.stores.heads import head_of
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Batch, Record
from keyrack.stores.urls import sqlite_path


@pytest.fixture(params=["memory", "sqlite"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A store under the old pepper with three keys."""
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/keyrack.db"
    stores = open_stores(url, peppers=OLD, create=True)
    found(stores, max_stale=12.5)
    for name in ("a", "b", "c"):
        mint(stores, name)
    yield stores
    stores.close()


@pytest.fixture
def new(old: Stores) -> Stores:
    """The same store with a new pepper in front, not rotated yet."""
    return reopened(old, f"{NEW},{OLD}")


def put_back(stores: Stores, record: Record) -> None:
    """Write a record past the engine, as whoever can write to the store could."""
    path = sqlite_path(stores.url)
    if path is None:
        stores.keys._records[record.kind, record.id] = record
        return
    with sqlite3.connect(path) as connection:
        changed = (record.body, record.pepper, record.mac, record.id)
        connection.execute("UPDATE records SET body = ?, pepper = ?, mac = ? WHERE id = ?", changed)
    connection.close()


def loaded(stores: Stores) -> Follower:
    follower = Follower(stores.keys, stores.peppers)
    follower.load()
    return follower


def test_one_event_under_the_first_pepper_says_what_was_rotated(new: Stores) -> None:
    rotated = rotate(new, by=ADA)
    entry = new.keys.last()
    if entry is None:
        raise AssertionError
    event, head = open_entry(entry, new.peppers)
    assert (entry.number, entry.pepper, event.kind) == (rotated.number, "p2", EventKind.PEPPER_ROTATED)
    assert event.data == {"from": "p1", "to": "p2", "records": 4, "max_stale": 12.5}
    assert (head.state_pepper, head.base, head.retired) == ("p2", entry.number, ("p1",))


def test_every_record_is_sealed_anew_and_not_a_byte_of_it_changes(new: Stores) -> None:
    before = keys_in(new)
    assert rotate(new, by=ADA).resealed == 4
    after = keys_in(new)
    assert {record.pepper for record in after} == {"p2"}
    assert [record.body for record in after] == [record.body for record in before]


def test_the_rotated_store_loads_and_goes_on(new: Stores) -> None:
    rotate(new, by=ADA)
    mint(new, "d")
    follower = loaded(new)
    assert (len(follower.replica), follower.max_stale) == (4, 12.5)


def test_a_replica_that_was_loaded_before_follows_through_the_rotation(new: Stores) -> None:
    follower = loaded(new)
    rotate(new, by=ADA)
    mint(new, "d")
    assert follower.poll(), follower.trouble
    assert len(follower.replica) == 4


def test_repeating_a_rotation_writes_nothing(new: Stores) -> None:
    rotate(new, by=ADA)
    assert rotate(new, by=ADA) == (None, 0)


def test_a_rotation_that_was_stopped_is_taken_up_where_it_stood(new: Stores) -> None:
    def stop(doing: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(new, by=ADA, report=stop)
    assert {record.pepper for record in keys_in(new)} == {"p2"}
    assert loaded(new).replica.head.retired == ()
    rotated = rotate(new, by=ADA)
    assert (rotated.number is None, rotated.resealed) == (False, 0)
    assert loaded(new).replica.head.retired == ("p1",)


def test_records_are_sealed_in_batches_and_the_progress_is_reported(
    new: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyrack.admin.peppering.BATCH", 3)
    reports: list[tuple[str, int, int | None]] = []
    rotate(new, by=ADA, report=lambda *given: reports.append(given))
    assert reports == [("checking records", 3, None), ("sealing records", 3, 4), ("sealing records", 4, 4)]


def test_what_changed_while_it_was_counted_is_counted_as_it_is(new: Stores) -> None:
    def meddle(doing: str, done: int, total: int | None) -> None:
        mint(new, "meanwhile")
        Issuer(new).revoke(keys_in(new)[0].id, by=ADA)

    rotate(new, by=ADA, report=meddle)
    assert len(loaded(new).replica) == 4


def test_a_node_that_still_writes_under_the_old_pepper_stops_the_rotation(old: Stores, new: Stores) -> None:
    def write_under_the_old_pepper() -> None:
        mint(reopened(old, f"{OLD},{NEW}"), "late")

    with pytest.raises(Conflict) as caught:
        rotate(new, by=ADA, report=lambda *_: write_under_the_old_pepper())
    assert caught.value.code == "pepper_in_use"
    assert loaded(new).replica.head.retired == ()


def test_behind_the_rotation_a_node_with_the_old_pepper_in_front_cannot_write(
    old: Stores, new: Stores
) -> None:
    rotate(new, by=ADA)
    late = reopened(old, f"{OLD},{NEW}")
    with pytest.raises(ConfigurationError, match=r"KEYRACK_PEPPERS: begins with 'p1'"):
        mint(late, "late")
    assert len(loaded(late).replica) == 3


def test_behind_the_rotation_a_record_under_the_old_pepper_is_not_believed(new: Stores) -> None:
    before = keys_in(new)[0]
    rotate(new, by=ADA)
    follower = loaded(new)
    put_back(new, before)
    with pytest.raises(Tampered, match="rotated out"):
        Issuer(new).disable(before.id, by=ADA)
    with pytest.raises(Tampered, match="rotated out"):
        loaded(new)
    assert follower.poll()


def test_whoever_has_only_the_old_pepper_cannot_go_on_with_the_log(old: Stores, new: Stores) -> None:
    rotate(new, by=ADA)
    follower = loaded(new)
    last = old.keys.last()
    if last is None:
        raise AssertionError
    head = head_of(last, new.keys, new.peppers)._replace(retired=(), base=1)
    event = Event(EventKind.STORE_CREATED, datetime(2030, 1, 31, tzinfo=UTC), "operator:mallory")
    forged, _ = seal(event, before=head, state=0, state_pepper="p1", pepper=old.peppers.first)
    old.keys.commit(lambda view: Batch([forged], [], []))
    with pytest.raises(Tampered, match="rotated out"):
        loaded(new)
    with pytest.raises(Tampered, match="rotated out"):
        mint(new, "d")
    assert not follower.poll()
    assert follower.doubt() is Reason.STORE_DOWN


def test_records_that_the_log_does_not_vouch_for_are_not_sealed(new: Stores) -> None:
    before = keys_in(new)[0]
    Issuer(new).disable(before.id, by=ADA)
    put_back(new, before)
    with pytest.raises(Tampered, match="vouches"):
        rotate(new, by=ADA)
    assert keys_in(new)[0].pepper == "p1"


def test_without_the_old_pepper_the_rotated_store_opens_once_its_digests_have_moved(
    old: Stores, new: Stores
) -> None:
    issuer = Issuer(new)
    rotate(new, by=ADA)
    alone = reopened(old, NEW)
    with pytest.raises(ConfigurationError, match="p1"):
        loaded(alone)
    for record in keys_in(new):
        issuer.rotate(record.id, by=ADA, grace=timedelta(0), compromised=True)
    follower = loaded(alone)
    assert (len(follower.replica), follower.max_stale) == (3, 12.5)


def test_only_whoever_holds_everything_rotates_the_pepper(new: Stores) -> None:
    with pytest.raises(NotHeld):
        rotate(new, by=Authority.service("billing", ["keys:manage"]))
