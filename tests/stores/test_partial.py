"""A replica that holds some of the keys knows all of them, and what it reads later has to be the latest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from keyrack import Authority, Issuer, Wish
from keyrack.admin.founding import found
from keyrack.admin.peppering import rotate
from keyrack.core.errors import Tampered
from keyrack.core.events import Event, EventKind
from keyrack.core.model import Key, Reason, Status
from keyrack.core.peppers import Peppers
from keyrack.core.prepared import Prepared
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.follower import Follower
from keyrack.stores.journal import MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Kind, Reading
from keyrack.stores.replica import Brought, NotInMemory
from keyrack.tenancy import Tenants
from keyrack.testing import PEPPERS, FixedClock

BY = Authority.operator("tests")
OURS = Peppers.parse(PEPPERS)
NEW = "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"
FOREIGN = "nT3kQz0yV5mX8bL1pR7wJ2hF9cD4gS6aE0uI5oYtKrM="


class PausingKeys(MemoryKeys):
    """Counts what is read, and does something else between a read and its return."""

    def __init__(self) -> None:
        super().__init__()
        self.read_ids: list[str] = []
        self.meanwhile: list[Callable[[], object]] = []
        self.ends_before: int | None = None
        """The log ends for reads before the event of that number, which is committed later."""

    @property
    def reads(self) -> int:
        return len(self.read_ids)

    def read(self, kind: Kind, record_id: str) -> Reading:
        self.read_ids.append(record_id)
        reading = super().read(kind, record_id)
        if self.ends_before is not None:
            reading = reading._replace(number=self.ends_before - 1)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return reading


class Bed:
    """A store that is written here and followed there, by a replica that holds `most` keys."""

    def __init__(self, most: int = 1, *, keys: int = 4):
        self.keys = PausingKeys()
        self.stores = self.opened(PEPPERS)
        found(self.stores)
        self.issuer = Issuer(self.stores)
        self.made = [self.mint() for _ in range(keys)]
        self.follower = self.followed(most)

    def opened(self, peppers: str) -> Stores:
        return Stores(
            "memory:", self.keys, MemoryJournal(), MemoryCounters(), Peppers.parse(peppers), FixedClock()
        )

    def followed(self, most: int | None) -> Follower:
        follower = Follower(self.keys, OURS, max_keys=most)
        follower.load()
        return follower

    def mint(self) -> Key:
        return self.issuer.mint(Wish("n", scopes=["a:b"]), by=BY).key

    def find(self, key_id: str) -> Prepared | None:
        """As a decision looks it up; what is not held is read once."""
        try:
            return self.follower.replica.find(key_id)
        except NotInMemory:
            assert self.follower.replica.bring(key_id, self.keys) is not Brought.OUTRUN
            return self.follower.replica.find(key_id)

    def seen(self, key_id: str) -> Key | None:
        prepared = self.find(key_id)
        return prepared.versions[0].key if prepared else None

    def put_back(self, key: Key, change: Callable[[], object]) -> None:
        """Make a change, and then the record what it was before it."""
        old = self.keys._records[Kind.KEY, key.id]
        change()
        self.keys._records[Kind.KEY, key.id] = old

    def not_held(self) -> list[Key]:
        return [key for key in self.made if self.follower.replica._records.get(key.id) is None]


@pytest.fixture
def bed() -> Bed:
    return Bed()


class TestHolding:
    def test_it_holds_no_more_than_it_may_and_counts_all(self, bed: Bed) -> None:
        replica = bed.follower.replica
        assert (len(replica), replica.in_all) == (1, 4)
        assert [bed.seen(key.id) for key in bed.made] == bed.made
        assert (len(replica), replica.in_all) == (1, 4)

    def test_what_is_held_is_not_read_and_what_is_not_is_read_once(self, bed: Bed) -> None:
        (key, *_) = bed.not_held()
        for _ in range(3):
            assert bed.seen(key.id) == key
        assert bed.keys.reads == 1

    def test_a_key_in_use_stays_while_others_pass_by(self) -> None:
        bed = Bed(most=3, keys=10)
        used, *others = bed.not_held()
        for key in others * 5:
            assert bed.seen(used.id) == used
            assert bed.seen(key.id) == key
        assert bed.keys.read_ids.count(used.id) < 4

    def test_an_id_that_no_key_has_is_unknown_without_a_read(self, bed: Bed) -> None:
        assert [bed.find(f"{number:012}") for number in range(20)] == [None] * 20
        assert bed.keys.reads == 0

    def test_an_id_that_only_looks_like_one_is_read_once(self, bed: Bed) -> None:
        bed.follower.replica._records._ids.add("LooksLikeOne")
        assert [bed.find("LooksLikeOne") for _ in range(3)] == [None] * 3
        assert bed.keys.reads == 1

    def test_no_more_ids_are_remembered_as_absent_than_there_is_room_for(
        self, bed: Bed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("keyrack.stores.partial.MAX_ABSENT", 3)
        ids = [f"LooksLike{number:03}" for number in range(10)]
        for key_id in ids:
            bed.follower.replica._records._ids.add(key_id)
            assert bed.find(key_id) is None
            assert len(bed.follower.replica._records._absent) <= 3
        assert bed.find(ids[-1]) is None
        assert bed.keys.reads == 10

    def test_few_keys_are_all_held_however_they_change(self) -> None:
        bed = Bed(most=5)
        bed.made += [bed.mint()]
        bed.issuer.update(bed.made[0].id, {"scopes": ["c:d"]}, by=BY)
        bed.follower.poll()
        assert not bed.not_held()
        assert bed.keys.reads == 0
        assert len(bed.follower.replica) == bed.follower.replica.in_all == 5

    def test_a_new_key_is_known_when_its_event_is(self, bed: Bed) -> None:
        key = bed.mint()
        assert bed.find(key.id) is None
        assert bed.follower.poll()
        assert bed.seen(key.id) == key
        assert bed.follower.replica.in_all == 5

    def test_a_tenant_that_changes_changes_its_keys_whether_they_are_held_or_not(self, bed: Bed) -> None:
        Tenants(bed.stores).suspend("default", "workspace", by=BY)
        assert bed.follower.poll()
        for key in bed.made:
            prepared = bed.find(key.id)
            assert prepared is not None
            assert prepared.versions[0].tenant is not None
            assert prepared.versions[0].tenant.suspended == ("workspace",)

    def test_it_answers_as_a_complete_one_does_whatever_happens(self) -> None:
        """A long history, drawn at random, followed in pages of random size by both."""
        random, bed = Random(7), Bed(most=3, keys=10)
        whole = bed.followed(None)
        changes: list[Callable[[str], object]] = [
            lambda key_id: bed.issuer.update(key_id, {"name": f"n{random.random()}"}, by=BY),
            lambda key_id: bed.issuer.disable(key_id, by=BY),
            lambda key_id: bed.issuer.enable(key_id, by=BY),
            lambda key_id: bed.issuer.rotate(key_id, by=BY, force=True, compromised=True, grace=timedelta(0)),
            lambda _: bed.made.append(bed.mint()),
        ]
        for _ in range(60):
            for _ in range(random.randrange(8)):
                random.choice(changes)(random.choice(bed.made).id)
            assert whole.poll()
            assert bed.follower.poll()
            for key in random.sample(bed.made, 4):
                assert bed.find(key.id) == whole.replica.find(key.id)
            assert len(bed.follower.replica) <= 3
        assert bed.follower.replica.in_all == len(whole.replica)


class TestRaces:
    def test_a_revocation_that_commits_and_is_seen_while_a_store_pauses_is_in_what_is_found(
        self, bed: Bed
    ) -> None:
        (key, *_) = bed.not_held()

        def revoked_and_seen() -> None:
            bed.issuer.revoke(key.id, by=BY)
            assert bed.follower.poll()

        bed.keys.meanwhile = [revoked_and_seen]
        assert bed.follower.replica.bring(key.id, bed.keys) is Brought.OUTRUN
        with pytest.raises(NotInMemory):
            bed.follower.replica.find(key.id)
        seen = bed.seen(key.id)
        assert seen is not None
        assert seen.status is Status.REVOKED

    def test_a_change_of_another_key_meanwhile_does_not_matter(self, bed: Bed) -> None:
        key, other, *_ = bed.not_held()

        def other_changed() -> None:
            bed.issuer.revoke(other.id, by=BY)
            assert bed.follower.poll()

        bed.keys.meanwhile = [other_changed]
        assert bed.follower.replica.bring(key.id, bed.keys) is Brought.HELD
        assert bed.seen(key.id) == key

    def test_a_record_of_which_the_log_was_not_yet_followed_waits_for_it(self, bed: Bed) -> None:
        (key, *_) = bed.not_held()
        bed.issuer.revoke(key.id, by=BY)
        assert bed.follower.replica.bring(key.id, bed.keys) is Brought.OUTRUN
        assert bed.follower.poll()
        assert bed.follower.replica.bring(key.id, bed.keys) is Brought.HELD

    def test_a_key_that_is_minted_while_its_id_is_read_is_not_taken_for_absent(self, bed: Bed) -> None:
        """Its id looked like one that is there; it was read before the commit, and returned after it."""
        key = bed.mint()
        record = bed.keys._records.pop((Kind.KEY, key.id))
        bed.follower.replica._records._ids.add(key.id)

        def minted_and_seen() -> None:
            bed.keys._records[Kind.KEY, key.id] = record
            assert bed.follower.poll()

        bed.keys.meanwhile = [minted_and_seen]
        bed.keys.ends_before = key.revision
        assert bed.follower.replica.bring(key.id, bed.keys) is Brought.OUTRUN
        assert bed.seen(key.id) == key

    def test_an_id_that_was_found_absent_is_known_once_a_key_has_it(self, bed: Bed) -> None:
        key = bed.mint()
        record = bed.keys._records.pop((Kind.KEY, key.id))
        bed.follower.replica._records._ids.add(key.id)
        assert bed.find(key.id) is None
        bed.keys._records[Kind.KEY, key.id] = record
        assert bed.follower.poll()
        assert bed.seen(key.id) == key


class TestTampering:
    def test_an_old_record_that_was_put_back_before_it_is_read_is_refused(self, bed: Bed) -> None:
        """Of a change that this replica has followed, and of one from before it was loaded."""
        (first, *_) = bed.not_held()
        bed.put_back(first, lambda: (bed.issuer.revoke(first.id, by=BY), bed.follower.poll()))
        with pytest.raises(Tampered, match="put back"):
            bed.follower.replica.bring(first.id, bed.keys)
        bed = Bed()
        old = bed.keys._records[Kind.KEY, bed.made[-1].id]
        bed.issuer.revoke(bed.made[-1].id, by=BY)
        bed.follower = bed.followed(1)
        bed.keys._records[Kind.KEY, bed.made[-1].id] = old
        with pytest.raises(Tampered, match="put back"):
            bed.follower.replica.bring(bed.made[-1].id, bed.keys)

    @pytest.mark.parametrize("most", [1, 3, 9])
    def test_a_change_that_was_built_on_an_old_record_is_refused_whether_it_is_held_or_not(
        self, most: int
    ) -> None:
        bed = Bed(most)
        key = bed.made[-1]
        bed.put_back(key, lambda: (bed.issuer.update(key.id, {"scopes": []}, by=BY), bed.follower.poll()))
        bed.issuer.update(key.id, {"name": "renamed"}, by=BY)
        assert not bed.follower.poll()
        assert "put back" in str(bed.follower.trouble)
        assert bed.follower.doubt() is Reason.STORE_DOWN

    def test_two_changes_in_one_page_the_second_built_on_an_old_record_are_refused(self, bed: Bed) -> None:
        (key, *_) = bed.not_held()
        bed.put_back(key, lambda: bed.issuer.update(key.id, {"scopes": []}, by=BY))
        bed.issuer.update(key.id, {"name": "renamed"}, by=BY)
        assert not bed.follower.poll()
        assert "put back" in str(bed.follower.trouble)

    @pytest.mark.parametrize("most", [1, None])
    def test_the_end_of_the_log_may_not_be_gone_when_its_record_is_there(
        self, bed: Bed, most: int | None
    ) -> None:
        follower = bed.followed(most)
        for name in ("one", "another"):
            bed.issuer.update(bed.made[-1].id, {"name": name}, by=BY)
        del bed.keys._entries[-1], bed.keys._about[-1]
        assert not follower.poll()
        assert "put back" in str(follower.trouble)

    @pytest.mark.parametrize("most", [1, None])
    def test_an_event_of_the_store_itself_leaves_the_records_as_they_were(
        self, bed: Bed, most: int | None
    ) -> None:
        follower = bed.followed(most)
        event = Event(EventKind.STORE_RESTORED, datetime.now(UTC), "tests", data={"lost": []})
        bed.stores.ledger.commit(lambda draft: draft._seal(event, draft.head.state + 1))
        assert not follower.poll()
        assert "put back" in str(follower.trouble)

    def test_an_altered_record_is_refused_when_it_is_read(self, bed: Bed) -> None:
        (key, *_) = bed.not_held()
        record = bed.keys._records[Kind.KEY, key.id]
        bed.keys._records[Kind.KEY, key.id] = record._replace(body=record.body.replace(b"a:b", b"a:c"))
        with pytest.raises(Tampered, match="does not authenticate"):
            bed.follower.replica.bring(key.id, bed.keys)

    def test_the_record_of_another_key_is_refused_when_it_is_read(self, bed: Bed) -> None:
        key, other, *_ = bed.not_held()
        bed.keys._records[Kind.KEY, key.id] = bed.keys._records[Kind.KEY, other.id]
        with pytest.raises(Tampered, match="does not authenticate"):
            bed.follower.replica.bring(key.id, bed.keys)

    def test_a_store_with_a_record_too_few_is_not_loaded(self, bed: Bed) -> None:
        del bed.keys._records[Kind.KEY, bed.made[2].id]
        with pytest.raises(Tampered, match="removed"):
            bed.followed(1)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_changes_that_lie_on_several_pages_are_followed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """A record on one page may be what an event on a later one left."""
    monkeypatch.setattr("keyrack.stores.follower.BATCH", batch)
    for number in range(5):
        for key in bed.made[:2]:
            bed.issuer.update(key.id, {"name": f"n{number}"}, by=BY)
    assert bed.follower.poll()
    assert [bed.seen(key.id) for key in bed.made[:2]] == [
        bed.issuer.get(key.id, by=BY) for key in bed.made[:2]
    ]


def test_a_rotation_of_peppers_loads_it_anew_under_the_new_one(bed: Bed) -> None:
    """Fingerprints are of one pepper, and only the whole store tells those of another."""
    ours = Peppers.parse(f"{NEW},{PEPPERS}")
    bed.follower = Follower(bed.keys, ours, max_keys=1)
    bed.follower.load()
    stores = bed.opened(f"{NEW},{PEPPERS}")
    rotate(stores, by=BY)
    Issuer(stores).revoke(bed.made[0].id, by=BY)
    assert bed.follower.poll()
    assert bed.follower.replica.head.retired == ("p1",)
    seen = [bed.seen(key.id) for key in bed.made]
    assert [key.status for key in seen if key] == [Status.REVOKED, *[Status.ACTIVE] * 3]
    Issuer(stores).revoke(bed.made[1].id, by=BY)
    assert bed.follower.poll()
    seen = [bed.seen(key.id) for key in bed.made]
    assert [key.status for key in seen if key] == [Status.REVOKED] * 2 + [Status.ACTIVE] * 2


def test_a_rotation_that_this_node_cannot_read_keeps_it_unconfirmed(bed: Bed) -> None:
    rotate(bed.opened(f"{NEW},{PEPPERS}"), by=BY)
    assert not bed.follower.poll()
    assert "lacks the pepper 'p2'" in str(bed.follower.trouble)
