"""A replica confirms only what it has applied, and decides nothing once the store answers differently."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from keyrack import Authority, Issuer, Wish
from keyrack.admin.founding import found
from keyrack.core.errors import Tampered, Unavailable
from keyrack.core.model import Key, Reason, Status
from keyrack.core.peppers import Peppers
from keyrack.stores.counters import MemoryCounters
from keyrack.stores.follower import Follower
from keyrack.stores.journal import MemoryJournal
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Change, Kind
from keyrack.testing import PEPPERS, FixedClock

BY = Authority.operator("tests")
OURS = Peppers.parse(PEPPERS)
NEW = "p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U"


class MoodyKeys(MemoryKeys):
    """Says only once that there is news, as a store may, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.pages = 10_000
        self._told = -1

    def moved(self) -> bool:
        moved, self._told = len(self._entries) != self._told, len(self._entries)
        return moved

    def since(self, number: int, most: int) -> Sequence[Change]:
        if self.fails or self.pages <= 0:
            raise Unavailable("The key store failed.")
        self.pages -= 1
        return super().since(number, most)


class Bed:
    """A store that is written here and followed there."""

    def __init__(self, peppers: str = PEPPERS):
        self.keys = MoodyKeys()
        self.stores = self.opened(peppers)
        found(self.stores)
        self.issuer = Issuer(self.stores)
        self.follower = Follower(self.keys, OURS)
        self.follower.load()

    def opened(self, peppers: str) -> Stores:
        return Stores(
            "memory:", self.keys, MemoryJournal(), MemoryCounters(), Peppers.parse(peppers), FixedClock()
        )

    def mint(self) -> Key:
        return self.issuer.mint(Wish("n", scopes=["a:b"]), by=BY).key

    def seen(self, key_id: str) -> Key | None:
        prepared = self.follower.replica.find(key_id)
        return prepared.versions[0].key if prepared else None


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_a_replica_follows_what_is_written(bed: Bed) -> None:
    key = bed.mint()
    assert bed.seen(key.id) is None
    assert bed.follower.poll()
    assert bed.seen(key.id) == key
    bed.issuer.revoke(key.id, by=BY)
    bed.follower.poll()
    seen = bed.seen(key.id)
    assert seen is not None
    assert seen.status is Status.REVOKED


def test_news_that_could_not_be_read_is_not_forgotten(bed: Bed) -> None:
    """The store says once that there is news; the read fails; it must be read at the next poll."""
    key = bed.mint()
    bed.keys.fails = True
    assert not bed.follower.poll()
    assert not bed.follower.poll()
    assert bed.follower.trouble == "The key store failed."
    bed.keys.fails = False
    assert bed.follower.poll()
    assert bed.seen(key.id) == key


def test_news_of_which_only_a_part_could_be_read_is_not_forgotten(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyrack.stores.follower.BATCH", 2)
    keys = [bed.mint() for _ in range(5)]
    bed.keys.pages = 2
    assert not bed.follower.poll()
    assert [bed.seen(key.id) is not None for key in keys] == [True] * 4 + [False]
    bed.keys.pages = 10
    assert bed.follower.poll()
    assert bed.seen(keys[4].id) == keys[4]


def test_an_event_under_a_pepper_that_this_node_lacks_keeps_it_unconfirmed(bed: Bed) -> None:
    """Another node writes under a new pepper: this one cannot read on, however often it polls."""
    elsewhere = Issuer(bed.opened(f"{NEW},{PEPPERS}"))
    elsewhere.mint(Wish("n", scopes=["a:b"]), by=BY)
    for _ in range(3):
        assert not bed.follower.poll()
        assert "lacks the pepper 'p2'" in str(bed.follower.trouble)


def test_a_node_is_confirmed_by_the_time_at_which_its_poll_was_sent(bed: Bed) -> None:
    before = bed.follower.confirmed_at
    assert bed.follower.poll()
    assert before < bed.follower.confirmed_at
    assert bed.follower.age() < 5
    assert bed.follower.doubt() is None


def test_a_replica_that_was_never_confirmed_or_not_for_long_is_stale(bed: Bed) -> None:
    fresh = Follower(bed.keys, OURS)
    assert fresh.age() == float("inf")
    assert fresh.doubt() is Reason.STALE
    impatient = Follower(bed.keys, OURS, max_stale=0.0)
    impatient.load()
    assert impatient.max_stale == 0.0
    assert impatient.doubt() is Reason.STALE


def test_a_node_may_choose_less_staleness_than_its_store_and_never_more() -> None:
    keys = MoodyKeys()
    stores = Stores("memory:", keys, MemoryJournal(), MemoryCounters(), OURS, FixedClock())
    found(stores, max_stale=12.5)
    allowed = {}
    for here in (None, 5.0, 60.0):
        follower = Follower(keys, OURS, max_stale=here)
        follower.load()
        allowed[here] = follower.max_stale
    assert allowed == {None: 12.5, 5.0: 5.0, 60.0: 12.5}


def test_an_empty_store_is_not_followed() -> None:
    with pytest.raises(Unavailable, match="The store is empty"):
        Follower(MemoryKeys(), OURS).load()


def test_a_store_that_fell_back_is_refused_naming_both_heads_and_stays_refused(bed: Bed) -> None:
    key = bed.mint()
    bed.follower.poll()
    ours = bed.follower.replica.head
    last = bed.keys._entries.pop()
    bed.keys._about.pop()
    assert not bed.follower.poll()
    trouble = str(bed.follower.trouble)
    assert f"{ours.number}:{ours.hash.hex()}" in trouble
    assert f"head is {ours.number - 1} (" in trouble
    assert bed.follower.doubt() is Reason.STORE_DOWN
    bed.keys._entries.append(last)
    bed.keys._about.append((Kind.KEY, key.id))
    assert not bed.follower.poll()
    assert bed.follower.doubt() is Reason.STORE_DOWN


def test_a_store_that_lost_everything_is_refused(bed: Bed) -> None:
    bed.keys._entries.clear()
    bed.keys._about.clear()
    assert not bed.follower.poll()
    assert "the store's head is none" in str(bed.follower.trouble)


def test_an_abandoned_replica_decides_nothing_whatever_its_store_says(bed: Bed) -> None:
    bed.follower.abandon("This process was forked.")
    bed.mint()
    assert not bed.follower.poll()
    assert bed.follower.doubt() is Reason.STORE_DOWN
    assert bed.follower.trouble == "This process was forked."


def test_a_change_that_was_built_on_an_old_record_is_refused(bed: Bed) -> None:
    """Somebody who can write to the store puts a key's record back as it was; the next change of the
    key is then well sealed and chained, and would bring back what had been taken away."""
    key = bed.mint()
    old = bed.keys._records[Kind.KEY, key.id]
    bed.issuer.update(key.id, {"scopes": []}, by=BY)
    bed.follower.poll()
    bed.keys._records[Kind.KEY, key.id] = old
    bed.issuer.update(key.id, {"name": "renamed"}, by=BY)
    assert not bed.follower.poll()
    assert "put back" in str(bed.follower.trouble)
    assert bed.follower.doubt() is Reason.STORE_DOWN
    with pytest.raises(Tampered, match="put back"):
        Follower(bed.keys, OURS).load()


def test_an_old_record_in_the_place_of_the_one_an_event_left_is_refused(bed: Bed) -> None:
    key = bed.mint()
    bed.follower.poll()
    old = bed.keys._records[Kind.KEY, key.id]
    bed.issuer.revoke(key.id, by=BY)
    bed.keys._records[Kind.KEY, key.id] = old
    assert not bed.follower.poll()
    assert "came without the record that it left" in str(bed.follower.trouble)


def test_an_event_that_is_made_out_to_be_about_something_else_is_refused(bed: Bed) -> None:
    """What a row says it is about is not authenticated, and decides nothing."""
    other = bed.mint()
    for about in (None, (Kind.KEY, other.id), (Kind.TENANT, "default")):
        follower = Follower(bed.keys, OURS)
        follower.load()
        key = bed.mint()
        truth = bed.keys._about[-1]
        bed.keys._about[-1] = about
        assert not follower.poll()
        assert "came without the record" in str(follower.trouble)
        assert follower.replica.find(key.id) is None
        bed.keys._about[-1] = truth


def test_the_event_that_says_what_holds_for_the_store_may_not_be_gone(bed: Bed) -> None:
    del bed.keys._entries[0], bed.keys._about[0]
    with pytest.raises(Tampered, match="is gone") as error:
        Follower(bed.keys, OURS).load()
    assert error.value.number == 1
