"""Rotating the pepper: what stays believed behind it, what does not, and how digests move over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyrack import (
    Access,
    Allowed,
    Authority,
    Issuer,
    Reason,
    Verifier,
    Wish,
    open_stores,
    redigesting,
)
from keyrack.admin.founding import found
from keyrack.admin.peppering import rotate
from keyrack.core.errors import ConfigurationError, Conflict, NotHeld, Tampered
from keyrack.core.events import Event, EventKind, open_entry, seal
from keyrack.core.peppers import Peppers
from keyrack.redigesting import Redigests
from keyrack.stores.follower import Follower
from keyrack.stores.heads import head_of
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Batch, Excerpt, Listing, Record
from keyrack.stores.urls import sqlite_path

ADA = Authority.operator("ada")
OLD = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
NEW = "p2:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ"


def reopened(stores: Stores, peppers: str) -> Stores:
    """The same store as a process with other peppers opens it."""
    return replace(stores, peppers=Peppers.parse(peppers))


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


def mint(stores: Stores, name: str) -> str:
    return Issuer(stores).mint(Wish(name, scopes=["jobs:read"]), by=ADA).secret or ""


def keys_in(stores: Stores) -> list[Record]:
    return list(stores.keys.records(Listing(most=100)))


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


def events_of(stores: Stores, key_id: str) -> list[Event]:
    return [open_entry(entry, stores.peppers)[0] for entry in stores.keys.entries(Excerpt(subject=key_id))]


def verified_once(url: str, text: str) -> None:
    """Open the store with the new pepper in front, verify one text, and close it again."""
    with Verifier.open(url, peppers=f"{NEW},{OLD}") as verifier:
        assert isinstance(verifier.verify(text, Access()), Allowed)


def test_a_version_is_digested_anew_on_its_next_success_and_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/keyrack.db"
    stores = open_stores(url, peppers=f"{NEW},{OLD}", create=True)
    before = reopened(stores, OLD)
    found(before)
    text = mint(before, "a")
    rotate(stores, by=ADA)
    verified_once(url, text)
    verified_once(url, text)
    key = Issuer(stores).get(keys_in(stores)[0].id, by=ADA)
    assert [version.pepper for version in key.versions] == ["p2"]
    events = events_of(stores, key.id)
    assert [event.kind for event in events] == [EventKind.KEY_MINTED, EventKind.KEY_REDIGESTED]
    assert events[-1].data == {"version": 1, "pepper": "p2"}
    stores.close()
    with Verifier.open(url, peppers=NEW) as alone:
        assert isinstance(alone.verify(text, Access()), Allowed)


def test_before_a_rotation_no_version_is_digested_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/keyrack.db"
    stores = open_stores(url, peppers=OLD, create=True)
    found(stores)
    text = mint(stores, "a")
    verified_once(url, text)
    assert [event.kind for event in events_of(stores, keys_in(stores)[0].id)] == [EventKind.KEY_MINTED]
    stores.close()


def test_a_digest_that_another_node_wrote_first_is_left_alone(old: Stores, new: Stores) -> None:
    text = mint(old, "d").encode()
    rotate(new, by=ADA)
    key = Issuer(new).get(keys_in(new)[-1].id, by=ADA)
    here, there = Redigests(new.peppers), Redigests(new.peppers)
    for noted in (here, there):
        noted.note(key, key.versions[0], text)
        noted.write(new)
    assert [event.kind for event in events_of(new, key.id)] == [
        EventKind.KEY_MINTED,
        EventKind.KEY_REDIGESTED,
    ]


def test_what_could_not_be_written_waits_for_the_next_time(old: Stores, new: Stores) -> None:
    text = mint(old, "d").encode()
    rotate(new, by=ADA)
    key = Issuer(new).get(keys_in(new)[-1].id, by=ADA)
    noted = Redigests(new.peppers)
    noted.note(key, key.versions[0], text)
    with pytest.raises(ConfigurationError):
        noted.write(reopened(old, f"{OLD},{NEW}"))
    noted.write(new)
    assert events_of(new, key.id)[-1].kind is EventKind.KEY_REDIGESTED


def test_one_batch_is_written_at_a_time(old: Stores, new: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes them follows the log as well, and decisions note more all the time."""
    monkeypatch.setattr(redigesting, "WRITTEN_AT_ONCE", 1)
    texts = [mint(old, name) for name in ("d", "e")]
    rotate(new, by=ADA)
    noted = Redigests(new.peppers)
    for record, text in zip(keys_in(new)[-2:], texts, strict=True):
        key = Issuer(new).get(record.id, by=ADA)
        noted.note(key, key.versions[0], text.encode())
    left = []
    for _ in range(3):
        noted.write(new)
        left.append(len(noted._waiting))
    assert left == [1, 0, 0]


def test_no_text_and_no_digest_is_in_the_repr_of_what_waits(new: Stores) -> None:
    key = Issuer(new).get(keys_in(new)[0].id, by=ADA)
    noted = Redigests(new.peppers)
    noted.note(key, key.versions[0], b"the text of a key")
    assert "text" not in repr(noted._waiting)
    assert "old=" not in repr(noted._waiting)
