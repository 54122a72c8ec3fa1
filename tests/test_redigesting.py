"""Digests under a pepper that was rotated out move over when their text is seen, once and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pepper_bed import ADA, NEW, OLD, keys_in, mint, reopened

from keyrack import Access, Allowed, Issuer, Verifier, open_stores, redigesting
from keyrack.admin.founding import found
from keyrack.admin.peppering import rotate
from keyrack.core.errors import ConfigurationError
from keyrack.core.events import Event, EventKind, open_entry
from keyrack.redigesting import Redigests
from keyrack.stores.opened import Stores
from keyrack.stores.protocols import Excerpt


@pytest.fixture(params=["memory", "sqlite"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A store with a new pepper in front, not rotated yet."""
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/keyrack.db"
    stores = open_stores(url, peppers=f"{NEW},{OLD}", create=True)
    found(reopened(stores, OLD))
    yield stores
    stores.close()


@pytest.fixture
def old(new: Stores) -> Stores:
    """The same store as a process opens it that has the old pepper alone."""
    return reopened(new, OLD)


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


def test_no_text_and_no_digest_is_in_the_repr_of_what_waits(old: Stores, new: Stores) -> None:
    mint(old, "a")
    key = Issuer(new).get(keys_in(new)[0].id, by=ADA)
    noted = Redigests(new.peppers)
    noted.note(key, key.versions[0], b"the text of a key")
    assert "text" not in repr(noted._waiting)
    assert "old=" not in repr(noted._waiting)
