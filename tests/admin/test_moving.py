"""Copying a store while it is used, and moving over to the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from keyrack import Access, Authority, Issuer, Minted, Verifier, Wish, open_stores
from keyrack.admin.audit import audit
from keyrack.admin.founding import found
from keyrack.admin.moving import NotEmpty, _after, _batch, copy, move
from keyrack.admin.peppering import rotate
from keyrack.core.errors import Conflict, KeyrackError, NotHeld, StoreMoved
from keyrack.core.model import Allowed, Reason
from keyrack.core.peppers import Peppers
from keyrack.idempotency import Once
from keyrack.stores.journal import MemoryJournal, Use
from keyrack.stores.memory import MemoryKeys
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Change

ADA = Authority.operator("ada")
PEPPERS = "p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA"
BOTH = f"p2:zY9xW7vU5tS3rQ1pN9mK7jH5gE3dB1aZ,{PEPPERS}"


def at_once(number: int, wait: bool) -> None:
    """For stores without nodes: there is nobody to wait for."""


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Stores]:
    with closing(open_stores(f"sqlite:///{tmp_path}/from.db", peppers=PEPPERS, create=True)) as stores:
        found(stores)
        yield stores


@pytest.fixture(params=["memory", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/to.db"
    with closing(open_stores(url, peppers=PEPPERS, create=True)) as stores:
        yield stores


def mint(stores: Stores, name: str = "n") -> tuple[str, str]:
    """The id and the text of a new key."""
    minted = Issuer(stores).mint(Wish(name=name, scopes=("logs:read",)), by=ADA)
    return minted.key.id, str(minted.secret)


def verdict(stores: Stores, text: str) -> str:
    """What a new node of this store says of a text."""
    verifier = Verifier(stores)
    verifier.start()
    decision = verifier.verify(text, Access(("logs:read",)))
    verifier._upkeep.stop()
    return "ok" if isinstance(decision, Allowed) else decision.reason.value


def numbers(stores: Stores) -> list[int]:
    return [change.entry.number for change in stores.keys.since(0, 1000)]


def test_keys_of_the_source_work_in_the_copy_and_those_taken_back_do_not(
    source: Stores, target: Stores
) -> None:
    _, text = mint(source)
    revoked, other = mint(source)
    Issuer(source).revoke(revoked, by=ADA)
    done = copy(source, target, by=ADA)
    assert done == (len(numbers(source)), 3, 0)
    assert (verdict(target, text), verdict(target, other)) == ("ok", Reason.REVOKED.value)
    assert audit(target).fault is None


def test_a_copy_goes_on_where_it_was(source: Stores, target: Stores) -> None:
    for number in range(3):
        mint(source, f"n{number}")
    copy(source, target, by=ADA)
    key_id, text = mint(source, "later")
    Issuer(source).disable(key_id, by=ADA)
    assert copy(source, target, by=ADA).events == len(numbers(source))
    assert verdict(target, text) == Reason.DISABLED.value


class _Interrupted(Exception):
    pass


class _Stopping(MemoryKeys):
    """A store whose reader is stopped after so many batches; each batch is one change."""

    def __init__(self, batches: int):
        super().__init__()
        self.batches = batches

    def since(self, number: int, most: int) -> list[Change]:
        self.batches -= 1
        if self.batches < 0:
            raise _Interrupted
        return list(super().since(number, 1))


def test_a_copy_that_was_stopped_anywhere_is_finished_by_the_next(target: Stores) -> None:
    stopping = _Stopping(1000)
    source = Stores(
        url="memory:",
        keys=stopping,
        journal=target.journal,
        counters=target.counters,
        peppers=target.peppers,
        clock=target.clock,
    )
    found(source)
    ids = [mint(source, f"n{number}")[0] for number in range(3)]
    for key_id in ids:
        Issuer(source).disable(key_id, by=ADA)
    for stopped_after in count():
        stopping.batches = stopped_after
        try:
            done = copy(source, target, by=ADA)
        except _Interrupted:
            continue
        break
    assert stopped_after > 0
    assert (done.events, done.missing) == (len(MemoryKeys.since(stopping, 0, 99)), 0)


def test_a_half_finished_copy_opens_for_nobody(source: Stores, target: Stores) -> None:
    key_id, _ = mint(source)
    Issuer(source).disable(key_id, by=ADA)
    first = source.keys.since(0, 3)
    target.keys.commit(_after(0, _batch(first, ())))
    with pytest.raises(KeyrackError, match="vouches"):
        Verifier(target).start()


def test_a_store_with_keys_of_its_own_is_no_target(source: Stores, target: Stores) -> None:
    found(target)
    mint(target)
    before = numbers(target)
    with pytest.raises(NotEmpty):
        copy(source, target, by=ADA)
    assert numbers(target) == before


class _Meddling(MemoryJournal):
    """A journal that somebody's change comes before, once."""

    def __init__(self, change: Callable[[], object]):
        super().__init__()
        self._changes = [change]

    def uses(self, key_ids: Sequence[str]) -> Mapping[tuple[str, int], Use]:
        while self._changes:
            self._changes.pop()()
        return super().uses(key_ids)


def test_what_the_source_makes_meanwhile_is_named_as_missing(source: Stores, target: Stores) -> None:
    key_id, _ = mint(source)
    source.journal.write([Use(key_id, 1, 5, 1.0, 2.0)], [])
    meddled = replace(target, journal=_Meddling(lambda: mint(source, "late")))
    assert copy(source, meddled, by=ADA).missing == 1
    assert copy(source, meddled, by=ADA).missing == 0


def test_use_is_copied_once(source: Stores, target: Stores) -> None:
    key_id, _ = mint(source)
    source.journal.write([Use(key_id, 1, 5, 1.0, 2.0)], [])
    for _ in range(2):
        copy(source, target, by=ADA)
    assert target.journal.uses([key_id])[key_id, 1].uses == 5


def test_a_pepper_that_is_rotated_between_two_copies_is_no_matter(tmp_path: Path) -> None:
    peppers = Peppers.parse(BOTH)
    with (
        closing(open_stores(f"sqlite:///{tmp_path}/a.db", peppers=PEPPERS, create=True)) as old,
        closing(open_stores(f"sqlite:///{tmp_path}/b.db", peppers=peppers, create=True)) as target,
    ):
        found(old)
        _, text = mint(old)
        with closing(open_stores(f"sqlite:///{tmp_path}/a.db", peppers=peppers)) as source:
            copy(source, target, by=ADA)
            rotate(source, by=ADA)
            copy(source, target, by=ADA)
            assert verdict(target, text) == "ok"


def test_after_a_move_the_source_takes_nothing_and_decides_nothing(source: Stores, target: Stores) -> None:
    key_id, text = mint(source)
    node = Verifier(source)
    node.start()
    move(source, target, by=ADA, spread=node.spread)
    assert node.verify(text, Access(("logs:read",))) == (Reason.STORE_DOWN, None, None, {}, (), None)
    assert "moved" in str(node.trouble)
    node._upkeep.stop()
    before = numbers(source)
    with pytest.raises(StoreMoved, match="moved to"):
        Issuer(source).revoke(key_id, by=ADA)
    assert numbers(source) == before
    assert verdict(source, text) == Reason.STORE_DOWN.value


def test_the_target_of_a_move_goes_on_from_the_last_event(source: Stores, target: Stores) -> None:
    key_id, text = mint(source)
    done = move(source, target, by=ADA, spread=at_once)
    assert done.events == len(numbers(source))
    assert numbers(target) == [*numbers(source), done.events + 1]
    assert verdict(target, text) == "ok"
    Issuer(target).revoke(key_id, by=ADA)
    assert verdict(target, text) == Reason.REVOKED.value
    assert audit(target).fault is None


def test_a_call_from_before_the_move_is_answered_as_it_was_behind_it(source: Stores, target: Stores) -> None:
    once, wish = Once("header", b"body"), Wish("n")
    first = Issuer(source).mint(wish, by=ADA, once=once)
    copy(source, target, by=ADA)
    later = Issuer(source).mint(wish, by=ADA, once=Once("later", b"body"))
    move(source, target, by=ADA, spread=at_once)
    assert sorted(target.keys.marks()) == sorted(source.keys.marks())
    issuer = Issuer(target)
    assert issuer.mint(wish, by=ADA, once=once) == Minted(first.key, None)
    assert issuer.mint(wish, by=ADA, once=Once("later", b"body")) == Minted(later.key, None)
    with pytest.raises(Conflict, match="another body"):
        issuer.mint(wish, by=ADA, once=Once("header", b"other"))


def test_the_target_opens_only_once_no_node_decides_from_the_source(source: Stores, target: Stores) -> None:
    mint(source)

    def stopped(number: int, wait: bool) -> None:
        assert wait
        raise _Interrupted

    with pytest.raises(_Interrupted):
        move(source, target, by=ADA, spread=stopped)
    assert len(numbers(target)) < len(numbers(source))
    move(source, target, by=ADA, spread=at_once)
    mint(target, "goes on")


def test_a_move_may_be_repeated(source: Stores, target: Stores) -> None:
    mint(source)
    first = move(source, target, by=ADA, spread=at_once)
    again = move(source, target, by=ADA, spread=at_once)
    assert again.events == first.events + 1
    mint(target, "later")


def test_a_store_moves_to_one_place(source: Stores, target: Stores, tmp_path: Path) -> None:
    move(source, target, by=ADA, spread=at_once)
    with closing(open_stores(f"sqlite:///{tmp_path}/other.db", peppers=PEPPERS, create=True)) as other:
        with pytest.raises(StoreMoved):
            move(source, other, by=ADA, spread=at_once)
        with pytest.raises(StoreMoved):
            Issuer(other).mint(Wish(name="n"), by=ADA)


def test_only_holders_of_everything_copy(source: Stores, target: Stores) -> None:
    service = Authority.service("svc", ("logs:read",))
    with pytest.raises(NotHeld):
        copy(source, target, by=service)
    with pytest.raises(NotHeld):
        move(source, target, by=service, spread=at_once)
    assert numbers(target) == []
