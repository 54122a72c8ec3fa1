"""The log as bytes: sealed, chained, and nothing in it can be changed, moved, dropped or repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from drawing import NOW, instants, json_values, names
from hypothesis import given
from hypothesis import strategies as st

from keyrack.core.errors import ConfigurationError, Tampered, Unavailable
from keyrack.core.events import (
    EMPTY,
    SUM_MODULUS,
    Entry,
    Event,
    EventKind,
    Head,
    fingerprint,
    open_entry,
    open_known,
    seal,
)
from keyrack.core.peppers import Peppers

PEPPERS = Peppers.parse("p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U,p1:aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1zA")
STRANGER = Peppers.parse("p1:7cR2vNq9XwLs4TbKz8JdYf3HgPm6QeUa")

events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    at=instants,
    actor=st.just("operator:drawing"),
    tenant=st.none() | names,
    subject=st.none() | names,
    data=st.dictionaries(names, json_values, max_size=2),
    request_id=st.none() | names,
    address=st.none() | st.just("192.0.2.7"),
)
states = st.integers(0, SUM_MODULUS - 1)


def sealed(some: Sequence[tuple[Event, int, str]], peppers: Peppers = PEPPERS) -> tuple[list[Entry], Head]:
    """A log of these events; each with the sum it carries and the pepper that seals it."""
    entries, head = [], EMPTY
    for event, state, pepper in some:
        entry, head = seal(
            event, before=head, state=state, state_pepper=peppers.first.id, pepper=peppers[pepper]
        )
        entries.append(entry)
    return entries, head


def walked(entries: Sequence[Entry], peppers: Peppers = PEPPERS) -> Head:
    """The head of this log when every entry stands right behind the one before it."""
    head = EMPTY
    for entry in entries:
        _, head = open_entry(entry, peppers, after=head)
    return head


logs = st.lists(st.tuples(events, states, st.sampled_from(["p1", "p2"])), min_size=1, max_size=6)


@given(logs)
def test_a_log_is_opened_as_it_was_sealed(log: list[tuple[Event, int, str]]) -> None:
    entries, end = sealed(log)
    head = EMPTY
    for number, ((event, state, pepper), entry) in enumerate(zip(log, entries, strict=True), start=1):
        opened, head = open_entry(entry, PEPPERS, after=head)
        assert (opened.number, head.number, entry.number, entry.pepper) == (number, number, number, pepper)
        assert opened.data == event.data
        names = ("kind", "at", "actor", "tenant", "subject", "request_id", "address")
        assert [getattr(opened, name) for name in names] == [getattr(event, name) for name in names]
        assert (head.state, head.state_pepper) == (state, "p2")
        assert head.hash == hashlib.sha256(entry.body).digest()
    assert head == end


@given(logs, st.data())
def test_a_flipped_bit_anywhere_is_refused(log: list[tuple[Event, int, str]], data: st.DataObject) -> None:
    entries, _ = sealed(log)
    at = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["body", "mac"]))
    text = bytearray(getattr(entries[at], field))
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    entries[at] = entries[at]._replace(**{field: bytes(text)})
    with pytest.raises(Tampered) as error:
        walked(entries)
    assert error.value.number == at + 1


@given(logs, st.data())
def test_a_cut_or_lengthened_code_or_body_is_refused(
    log: list[tuple[Event, int, str]], data: st.DataObject
) -> None:
    entries, _ = sealed(log)
    at = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["body", "mac"]))
    text = getattr(entries[at], field)
    entries[at] = entries[at]._replace(**{field: data.draw(st.sampled_from([text[:-1], text + b"\0", b""]))})
    with pytest.raises(Tampered):
        walked(entries)


@given(logs, st.data())
def test_an_entry_dropped_repeated_moved_or_renumbered_is_refused(
    log: list[tuple[Event, int, str]], data: st.DataObject
) -> None:
    entries, end = sealed(log)
    other = data.draw(st.permutations(entries) | st.lists(st.sampled_from(entries), max_size=8))
    other = [
        entry._replace(number=number) if data.draw(st.booleans()) else entry
        for number, entry in enumerate(other, start=1)
    ]
    try:
        head = walked(other)
    except Tampered:
        assert other != entries
        return
    # What still walks is the log itself or its beginning, and the beginning has another head.
    assert other == entries[: len(other)]
    assert (head == end) == (other == entries)


@given(logs, logs)
def test_an_entry_of_another_log_of_the_same_store_is_refused(
    ours: list[tuple[Event, int, str]], theirs: list[tuple[Event, int, str]]
) -> None:
    """Two logs that part at some entry never meet again: a fork shows in the entry behind it."""
    ours_sealed, _ = sealed(ours)
    theirs_sealed, _ = sealed(theirs)
    for at in range(1, min(len(ours), len(theirs))):
        if ours_sealed[at - 1] != theirs_sealed[at - 1]:
            with pytest.raises(Tampered, match="out of its place"):
                walked([*ours_sealed[:at], theirs_sealed[at]])


@given(logs)
def test_another_pepper_of_the_same_name_opens_nothing(log: list[tuple[Event, int, str]]) -> None:
    entries, _ = sealed([(event, state, "p1") for event, state, _ in log])
    with pytest.raises(Tampered, match="does not authenticate"):
        open_entry(entries[0], STRANGER)


@given(logs)
def test_an_entry_that_names_another_pepper_than_its_own_is_refused(
    log: list[tuple[Event, int, str]],
) -> None:
    (entry, *_), _ = sealed(log)
    with pytest.raises(Tampered):
        open_entry(entry._replace(pepper="p1" if entry.pepper == "p2" else "p2"), PEPPERS)
    with pytest.raises(ConfigurationError, match="lacks the pepper"):
        open_entry(entry._replace(pepper="p9"), PEPPERS)


@given(logs)
def test_a_log_does_not_begin_in_its_middle(log: list[tuple[Event, int, str]]) -> None:
    entries, _ = sealed(log)
    for entry in entries[1:]:
        with pytest.raises(Tampered, match="out of its place"):
            walked([entry])


def resealed(body: dict[str, Any]) -> Entry:
    """What a newer Keyrack with the same peppers would have written."""
    data = json.dumps(body).encode()
    return Entry(body["number"], data, "p2", PEPPERS["p2"].log.digest(data))


@given(events, st.dictionaries(st.text("xyz", min_size=3, max_size=5), json_values, min_size=1))
def test_members_that_are_not_known_are_passed_over(event: Event, later: dict[str, Any]) -> None:
    (entry,), _ = sealed([(event, 0, "p2")])
    opened, _ = open_entry(resealed(json.loads(entry.body) | later), PEPPERS, after=EMPTY)
    assert (opened.kind, opened.data) == (event.kind, event.data)


@pytest.mark.parametrize("later", [{"format": 2}, {"kind": "key.teleported"}])
def test_following_stops_at_a_format_or_kind_that_is_not_known_and_names_it(later: dict[str, Any]) -> None:
    (entry,), _ = sealed([(Event(EventKind.KEY_MINTED, NOW, "operator:a"), 0, "p2")])
    with pytest.raises(Unavailable, match="a newer Keyrack wrote it") as error:
        open_entry(resealed(json.loads(entry.body) | later), PEPPERS)
    assert all(str(value) in error.value.detail for value in later.values())


@given(events)
def test_nothing_behind_a_rotation_is_sealed_under_a_pepper_that_it_retired(event: Event) -> None:
    before = Head(5, bytes(32), 0, "p2", base=5, retired=("p1",))
    sealed_under = {
        pepper: seal(event, before=before, state=0, state_pepper="p2", pepper=PEPPERS[pepper])[0]
        for pepper in ("p1", "p2")
    }
    _, head = open_entry(sealed_under["p2"], PEPPERS, after=before)
    assert (head.base, head.retired) == (5, ("p1",))
    with pytest.raises(Tampered, match="rotated out"):
        open_entry(sealed_under["p1"], PEPPERS, after=before)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_fingerprint_follows_from_the_record_and_the_pepper(body: bytes, other: bytes) -> None:
    first = fingerprint(body, PEPPERS["p1"])
    assert first == fingerprint(body, PEPPERS["p1"]) < SUM_MODULUS
    assert first != fingerprint(body, PEPPERS["p2"])
    assert (fingerprint(other, PEPPERS["p1"]) == first) == (other == body)


@given(logs)
def test_an_entry_whose_pepper_is_gone_is_read_and_still_has_its_place(
    log: list[tuple[Event, int, str]],
) -> None:
    """Those behind it vouch for it by its hash; one that is authenticated must agree all the same."""
    entries, end = sealed([(event, state, "p1") for event, state, _ in log])
    left = Peppers.parse("p2:zK4wPq2LmT8xVb9NcR6yHd1JgF3sQe5U")
    head = EMPTY
    for entry in entries:
        event, head = open_known(entry, left, after=head)
        assert event.number == entry.number
    assert head == end
    with pytest.raises(Tampered, match="out of its place"):
        open_known(entries[0]._replace(number=9), left, after=EMPTY)
    with pytest.raises(Tampered, match="does not authenticate"):
        open_known(entries[0]._replace(mac=bytes(32)), PEPPERS, after=EMPTY)
    for peppers in (left, PEPPERS):
        with pytest.raises(Tampered):
            open_known(entries[0], peppers, after=head)
