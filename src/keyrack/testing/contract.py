"""What every key store must do, as a class of tests that any store can run.

A store keeps bytes that were authenticated before they reached it, so nothing here means anything:
bodies are random, codes are made up, and what comes back must be what went in. With pytest:

    class TestMyKeys(KeysContract):
        @pytest.fixture
        def open_keys(self, tmp_path):
            with my_server(tmp_path) as server:
                yield lambda: MyKeys(server.url)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from keyrack.stores.protocols import Batch, Excerpt, Keys, Kind, Listing, Mark, Reading, Reseal, View
from keyrack.testing.samples import (
    NOTHING,
    append,
    at_once,
    changed_since,
    entry,
    fill,
    key,
    marks,
    named,
    planned,
    put,
    same,
    sealed,
    secret,
    state_of,
    tenant,
)

OpenKeys = Callable[[], Keys]
"""Opens the one store of a test, empty at first, once more; all that it opened is closed afterwards."""


class Refused(Exception):
    """What a plan of these tests raises."""


class KeysContract:
    """Tests of keyrack.stores.protocols.Keys. Subclass it and give `open_keys` as a fixture."""

    def test_a_new_store_is_empty(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        same(keys.last(), None)
        same(keys.record(Kind.KEY, "a"), None)
        for found in (
            keys.since(0, 9),
            keys.entries(Excerpt()),
            keys.records(Listing()),
            keys.peppers_in_use(),
        ):
            same(list(found), [])
        same(state_of(keys), (None, []))
        same(keys.read(Kind.KEY, "a"), Reading(0, None))
        same(planned(keys, lambda view: view.last()), None)
        same(marks(keys, b"t"), [None])

    def test_a_commit_is_there_at_once_byte_for_byte_for_everybody(self, open_keys: OpenKeys) -> None:
        keys, other = open_keys(), open_keys()
        log, record = entry(1), key("a", 1, tenant="acme", name="é漢", owner=None)
        same(keys.commit(lambda view: Batch([log], [record], [])), Batch([log], [record], []))
        for reader in (keys, other):
            same(reader.last(), log)
            same(reader.record(Kind.KEY, "a"), record)
            same(state_of(reader), (log, [sealed(record)]))

    def test_what_was_committed_is_there_when_the_store_is_opened_later(self, open_keys: OpenKeys) -> None:
        log, record, mark = entry(1), key("a", 1), Mark(b"token", b"body", "a", 5.0)
        put(open_keys(), log, records=[record], marks=[mark])
        later = open_keys()
        same((later.last(), later.record(Kind.KEY, "a")), (log, record))
        same(marks(later, b"token"), [mark])

    def test_a_plan_that_raises_writes_nothing_and_its_error_arrives(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1)])
        before = state_of(keys)

        def plan(view: View) -> NoReturn:
            view.record(Kind.KEY, "a")
            raise Refused

        refused = False
        try:
            keys.commit(plan)
        except Refused:
            refused = True
        same((refused, state_of(keys)), (True, before))
        fill(keys, [key("b", 2)])
        same([one.id for one in keys.records(Listing())], ["a", "b"])

    def test_an_empty_batch_writes_nothing(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1)])
        before = state_of(keys)
        same(keys.commit(lambda view: NOTHING), NOTHING)
        same(state_of(keys), before)

    def test_a_plan_sees_the_store_as_of_the_instant_before(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        log, record, mark = entry(1), key("a", 1, name="n"), Mark(b"t", b"b", "a", 1.0)
        put(keys, log, records=[record], marks=[mark])
        seen: list[object] = []

        def plan(view: View) -> Batch:
            seen[:] = [view.last(), view.record(Kind.KEY, "a"), list(view.named("t", "n")), view.mark(b"t")]
            return Batch([entry(2)], [key("a", 2, serial=1, name="m")], [])

        keys.commit(plan)
        same(seen, [log, record, [record], mark])

    def test_writers_take_turns_and_none_writes_over_another(self, open_keys: OpenKeys) -> None:
        """Each plan numbers its entry by what it sees. A plan may be run again, so only what is in the
        store counts, and every number must be there once."""
        writers = [open_keys() for _ in range(4)]
        at_once([partial(append, keys, times=15) for keys in writers])
        keys = open_keys()
        same([one.number for one in keys.entries(Excerpt(most=100))], list(range(1, 61)))
        same([one.revision for one in keys.records(Listing(most=100))], list(range(1, 61)))

    def test_a_reader_sees_whole_commits_while_others_write(self, open_keys: OpenKeys) -> None:
        writer, reader = open_keys(), open_keys()
        fill(writer, [key("a", 1), key("b", 2)])
        done = threading.Event()
        seen: list[tuple[int, set[int]]] = []

        def write() -> None:
            for number in range(3, 60, 2):
                rows = [key("a", number, serial=1), key("b", number + 1, serial=2)]
                put(writer, entry(number), entry(number + 1), records=rows)
            done.set()

        def read() -> None:
            while not done.is_set():
                with reader.snapshot() as snapshot:
                    last = snapshot.last()
                    revisions = {int(body.partition(b" ")[0]) for _, _, body, _, _ in snapshot.records()}
                    seen.append((last.number if last else 0, revisions))

        at_once([write, read])
        same([one for one in seen if one[1] != {one[0] - 1, one[0]}], [])

    def test_a_snapshot_stays_as_it_was_while_others_write(self, open_keys: OpenKeys) -> None:
        keys, writer = open_keys(), open_keys()
        first, second = key("a", 1), key("b", 2)
        fill(keys, [first, second])
        with keys.snapshot() as snapshot:
            last = snapshot.last()
            fill(writer, [key("a", 3, serial=1), key("c", 4)])
            again = snapshot.last()
            same(sorted(snapshot.records()), sorted([sealed(first), sealed(second)]))
            same(sorted(snapshot.records()), sorted([sealed(first), sealed(second)]))
        same((last and last.number, again and again.number), (2, 2))
        same(len(state_of(keys)[1]), 3)

    def test_a_snapshot_counts_the_records_of_its_instant(self, open_keys: OpenKeys) -> None:
        keys, writer = open_keys(), open_keys()
        fill(keys, [key("a", 1), tenant("a", 2), key("b", 3)])
        with keys.snapshot() as snapshot:
            before = snapshot.count()
            fill(writer, [key("c", 4)])
            same((before, snapshot.count()), (3, 3))
        with keys.snapshot() as snapshot:
            same(snapshot.count(), 4)

    def test_a_record_is_read_with_the_end_of_the_log(self, open_keys: OpenKeys) -> None:
        keys, other = open_keys(), open_keys()
        record, namesake = key("a", 1, name="é漢", owner=None), tenant("a", 2)
        fill(keys, [record, namesake])
        put(keys, entry(3))
        same(other.read(Kind.KEY, "a"), Reading(3, record))
        same(other.read(Kind.TENANT, "a"), Reading(3, namesake))
        same(other.read(Kind.KEY, "b"), Reading(3, None))
        newer = key("a", 4, serial=1)
        fill(keys, [newer])
        same(other.read(Kind.KEY, "a"), Reading(4, newer))

    def test_a_record_is_never_read_with_a_number_that_it_did_not_have(self, open_keys: OpenKeys) -> None:
        """Every commit writes the record anew, so its revision must be the last number each time."""
        writer, reader = open_keys(), open_keys()
        fill(writer, [key("a", 1)])
        done = threading.Event()
        seen: list[Reading] = []

        def write() -> None:
            for number in range(2, 60):
                fill(writer, [key("a", number, serial=1)])
            done.set()

        def read() -> None:
            while not done.is_set():
                seen.append(reader.read(Kind.KEY, "a"))

        at_once([write, read])
        same([one for one in seen if one.record is None or one.record.revision != one.number], [])

    def test_a_record_is_replaced_and_keeps_its_place(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1), key("b", 2), key("c", 3)])
        newer = key("a", 4, serial=1, tenant="u", name="renamed", owner="o")
        fill(keys, [newer])
        same(keys.record(Kind.KEY, "a"), newer)
        same([one.id for one in keys.records(Listing())], ["a", "b", "c"])

    def test_of_two_writes_to_one_record_in_a_commit_the_last_stays(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        rows = [key("a", 1), key("b", 2), key("a", 3, serial=1)]
        put(keys, entry(1), entry(2), entry(3), records=rows)
        same(keys.record(Kind.KEY, "a"), rows[2])
        same([change.record for change in keys.since(0, 9)], [rows[2], rows[1], rows[2]])

    def test_a_key_a_tenant_and_a_secret_of_one_id_are_three_records(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        rows = [key("same", 1), tenant("same", 2), secret("same", 3)]
        fill(keys, rows)
        same([keys.record(row.kind, "same") for row in rows], rows)
        same([list(keys.records(Listing(row.kind))) for row in rows], [[row] for row in rows])
        same([change.record for change in keys.since(0, 9)], rows)
        same(named(keys, "same", "n"), [])

    def test_a_secret_is_found_by_the_place_that_is_its_id(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        rows = [secret(f"session/default/signing/{number}", number) for number in (1, 2, 3)]
        fill(keys, rows)
        newer = secret("session/default/signing/1", 4, serial=1)
        fill(keys, [newer])
        same(list(keys.records(Listing(Kind.SECRET, most=2))), [newer, rows[1]])
        same(list(keys.records(Listing(Kind.SECRET, after=2))), [rows[2]])
        same(keys.reseal([Reseal(Kind.SECRET, newer.id, newer.mac, "p2", b"new")]), 1)
        same(keys.record(Kind.SECRET, newer.id), newer._replace(pepper="p2", mac=b"new"))
        same([one.number for one in keys.entries(Excerpt(subject=newer.id))], [1, 4])

    def test_what_is_new_comes_in_order_with_the_records_as_they_are_now(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1)])
        put(keys, entry(2))
        latest = key("a", 3, serial=1)
        fill(keys, [latest])
        changes = keys.since(0, 9)
        same([change.entry for change in changes], [entry(1), entry(2), entry(3)])
        same([change.record for change in changes], [latest, None, latest])

    def test_what_is_new_comes_in_pages(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key(f"k{number}", number) for number in range(1, 8)])
        numbers = [[one.entry.number for one in keys.since(after, 3)] for after in (0, 3, 6, 7, 99)]
        same(numbers, [[1, 2, 3], [4, 5, 6], [7], [], []])

    def test_entries_come_in_pages_by_tenant_and_by_subject(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [tenant("t", 1), tenant("u", 2)])
        put(keys, entry(3))
        fill(keys, [key("a", 4), key("b", 5, tenant="u"), key("a", 6, serial=4)])
        excerpts = {
            Excerpt(): [1, 2, 3, 4, 5, 6],
            Excerpt(most=2): [1, 2],
            Excerpt(after=2, most=2): [3, 4],
            Excerpt(after=6): [],
            Excerpt(tenant="t"): [1, 4, 6],
            Excerpt(tenant="t", after=1, most=1): [4],
            Excerpt(tenant="u"): [2, 5],
            Excerpt(tenant="nobody"): [],
            Excerpt(subject="a"): [4, 6],
            Excerpt(subject="a", after=4): [6],
            Excerpt(subject="a", tenant="u"): [],
            Excerpt(subject="b", tenant="u"): [5],
        }
        for excerpt, numbers in excerpts.items():
            same([one.number for one in keys.entries(excerpt)], numbers, about=excerpt)
        same(list(keys.entries(Excerpt(most=1))), [entry(1)])

    def test_records_come_in_the_order_in_which_they_were_made(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("z", 1), key("a", 2, owner="ann"), tenant("t", 3), key("m", 4, tenant="u")])
        fill(keys, [key("b", 5, owner="ann"), key("z", 6, serial=1)])
        listings = {
            Listing(): ["z", "a", "m", "b"],
            Listing(most=2): ["z", "a"],
            Listing(after=2, most=2): ["m", "b"],
            Listing(after=5): [],
            Listing(tenant="t"): ["z", "a", "b"],
            Listing(tenant="u"): ["m"],
            Listing(owner="ann"): ["a", "b"],
            Listing(tenant="u", owner="ann"): [],
            Listing(kind=Kind.TENANT): ["t"],
            Listing(kind=Kind.TENANT, after=3): [],
        }
        for listing, ids in listings.items():
            same([one.id for one in keys.records(listing)], ids, about=listing)

    def test_keys_are_found_by_their_name_of_today_within_a_tenant(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1, name="x"), key("b", 2, name="x"), key("c", 3, name="x", tenant="u")])
        fill(keys, [key("b", 4, serial=2, name="y"), tenant("t", 5, name="x")])
        found = {(of, name): named(keys, of, name) for of in ("t", "u") for name in ("x", "y", "z")}
        expected = {("t", "x"): ["a"], ("t", "y"): ["b"], ("u", "x"): ["c"]}
        same({slot: ids for slot, ids in found.items() if ids}, expected)

    def test_records_that_changed_since_a_number_are_found_each_once(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        fill(keys, [key("a", 1), key("b", 2), tenant("t", 3)])
        put(keys, entry(4))
        fill(keys, [key("a", 5, serial=1), key("a", 6, serial=1)])
        found = {number: changed_since(keys, number) for number in (0, 2, 3, 6)}
        same(found, {0: ["a", "b", "t"], 2: ["a", "t"], 3: ["a"], 6: []})

    def test_a_mark_is_kept_until_it_is_replaced_or_forgotten(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        old, new = Mark(b"a", b"1", "k", 10.0), Mark(b"a", b"2", "k", 20.0)
        other = Mark(b"b", b"3", "k", 15.5)
        put(keys, entry(1), marks=[old, other])
        put(keys, entry(2), marks=[new])
        same(marks(keys, b"a", b"b"), [new, other])
        same(sorted(keys.marks()), [new, other])
        keys.forget_marks(15.5)
        same(marks(keys, b"a", b"b"), [new, other])
        keys.forget_marks(15.6)
        same(marks(keys, b"a", b"b"), [new, None])
        same(list(keys.marks()), [new])
        same(keys.last(), entry(2))

    def test_the_last_entry_under_each_pepper_is_found(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        for number, pepper in enumerate(["p1", "p1", "p2", "p1", "p3"], start=1):
            put(keys, entry(number, pepper))
        same(sorted(keys.peppers_in_use()), [entry(3, "p2"), entry(4, "p1"), entry(5, "p3")])

    def test_resealing_changes_codes_alone_and_only_where_they_are_still_the_old_ones(
        self, open_keys: OpenKeys
    ) -> None:
        keys = open_keys()
        first, second = key("a", 1), key("b", 2)
        fill(keys, [first, second])
        seals = [
            Reseal(Kind.KEY, "a", first.mac, "p2", b"new of a"),
            Reseal(Kind.KEY, "b", b"another code", "p2", b"new of b"),
        ]
        same(keys.reseal(seals), 1)
        same(keys.record(Kind.KEY, "a"), first._replace(pepper="p2", mac=b"new of a"))
        same(keys.record(Kind.KEY, "b"), second)
        same([one.entry for one in keys.since(0, 9)], [entry(1), entry(2)])
        same(keys.reseal([]), 0)

    def test_news_is_never_denied(self, open_keys: OpenKeys) -> None:
        """Whatever else reads or plans in between, and whichever handle wrote it."""
        follower, writer = open_keys(), open_keys()
        fill(writer, [key("a", 1)])
        follower.moved()
        for number, keys in enumerate([writer, follower, writer], start=2):
            fill(keys, [key("a", number, serial=1)])
            follower.last()
            follower.record(Kind.KEY, "a")
            planned(keys, lambda view: view.last())
            same(follower.moved(), True, about=number)
            same(follower.since(number - 1, 9)[0].entry.number, number)

    def test_a_commit_may_be_large(self, open_keys: OpenKeys) -> None:
        keys = open_keys()
        rows = [key(f"k{number}", number) for number in range(1, 1001)]
        put(keys, *map(entry, range(1, 1001)), records=rows)
        same(sorted(state_of(keys)[1]), sorted(map(sealed, rows)))
        same([one.record for one in keys.since(0, 1001)], rows)
        same(keys.reseal([Reseal(one.kind, one.id, one.mac, "p2", b"new") for one in rows]), 1000)
