"""A checkpoint is written in pages, of which those that nobody changed are those of the one before."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from objects_bed import BY, Files, MoodyStorage, Node, founded

from keyrack.stores.objects import checkpoints, pages
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.pages import PageKind
from keyrack.stores.objects.paths import Place, path_of
from keyrack.stores.protocols import Excerpt, Listing
from keyrack.testing.samples import state_of


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint behind every third commit, two records or five entries on a page."""
    monkeypatch.setattr(checkpoints, "EVERY", 3)
    monkeypatch.setattr(pages, "_ROWS", {PageKind.RECORDS: 2, PageKind.ENTRIES: 5})


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A store of one commit."""
    files = Files(tmp_path / "keys")
    founded(files.root).stores.close()
    return files


def mint_alone(files: Files, times: int) -> list[str]:
    """Mint, each time in a process of its own that ends, so that all is written behind it."""
    made = []
    for _ in range(times):
        node = Node(Directory(files.root))
        made.append(node.mint()[0])
        node.stores.close()
    return made


def named(files: Files, number: int, kind: str = "records") -> list[str]:
    """The pages that a checkpoint names."""
    names: list[str] = json.loads(files.checkpoint(number).read_bytes())["pages"][kind]
    return names


def all_named(files: Files) -> set[Path]:
    """The objects of the pages that are named by any checkpoint there is."""
    numbers = [int(path.stem) for path in files.checkpoint(1).parent.iterdir()]
    names = [name for number in numbers for kind in PageKind for name in named(files, number, kind)]
    return {files.root / path_of(Place.PAGE, name) for name in names}


def read_anew(files: Files) -> Node:
    node = Node(Directory(files.root))
    node.follower.load()
    return node


def read_from_the_log(files: Files) -> Node:
    """A node that finds no checkpoint."""
    folder, away = files.checkpoint(1).parent, files.root / "away"
    folder.rename(away)
    node = read_anew(files)
    away.rename(folder)
    return node


def same(one: Node, other: Node) -> None:
    """Fail unless both know the same."""
    assert state_of(one.keys) == state_of(other.keys)
    everything = Excerpt(most=100)
    assert one.keys.entries(everything) == other.keys.entries(everything)
    assert one.keys.since(0, 100) == other.keys.since(0, 100)
    assert one.keys.records(Listing(most=100)) == other.keys.records(Listing(most=100))


def test_what_many_pages_hold_is_what_the_log_adds_up_to(files: Files) -> None:
    made = mint_alone(files, 10)
    node = Node(Directory(files.root))
    node.issuer.revoke(made[2], by=BY)
    node.stores.close()
    assert [len(named(files, 9, kind)) for kind in PageKind] == [5, 2]
    same(read_anew(files), read_from_the_log(files))


def test_a_page_that_nobody_changed_is_written_once(files: Files) -> None:
    mint_alone(files, 5)
    before = named(files, 6)
    storage = MoodyStorage(Directory(files.root))
    node = Node(storage)
    made = [node.mint()[0] for _ in range(3)]
    node.keys.close()
    after = named(files, 9)
    assert after[: len(before)] == before
    written = [path for what, path in storage.asked if what == "put" and path.startswith(Place.PAGE.folder)]
    new = [*after[len(before) :], *named(files, 9, "entries")[-1:]]
    assert sorted(written) == sorted(path_of(Place.PAGE, name) for name in new)
    assert made


def test_a_page_is_written_anew_when_one_of_its_records_changed(files: Files) -> None:
    first, *_ = mint_alone(files, 5)
    before = named(files, 6)
    node = Node(Directory(files.root))
    node.issuer.revoke(first, by=BY)
    node.stores.close()
    mint_alone(files, 2)
    changed = [one != other for one, other in zip(before, named(files, 9), strict=False)]
    assert changed == [True, False, False]
    same(read_anew(files), read_from_the_log(files))


def test_pages_that_no_checkpoint_names_any_more_are_taken_away(files: Files) -> None:
    made = mint_alone(files, 5)
    for number in range(12):
        node = Node(Directory(files.root))
        node.issuer.update(made[number % 5], {"metadata": {"round": str(number)}}, by=BY)
        node.stores.close()
    assert len(list(files.checkpoint(1).parent.iterdir())) == checkpoints.KEPT
    assert set(files.pages()) == all_named(files)


@pytest.mark.spec("LL-55")
@pytest.mark.parametrize("data", [None, b"", b"[]"])
def test_a_spoilt_page_spoils_its_checkpoint_alone_and_is_named(
    files: Files, data: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    mint_alone(files, 8)
    page = files.root / path_of(Place.PAGE, named(files, 9)[-1])
    page.unlink()
    if data is not None:
        page.write_bytes(data)
    with caplog.at_level(logging.ERROR, "keyrack.stores.objects"):
        node = read_anew(files)
    assert path_of(Place.PAGE, named(files, 9)[-1]) in caplog.text
    assert caplog.text.count("passed over") == 1, "the one before has another last page"
    same(node, read_from_the_log(files))


def test_a_spoilt_page_is_mended_by_whoever_writes_it_again(files: Files) -> None:
    mint_alone(files, 5)
    pages_of_it = [files.root / path_of(Place.PAGE, name) for name in named(files, 6)]
    for page in pages_of_it:
        page.write_bytes(b"spoilt")
    node = read_anew(files)
    for _ in range(3):
        node.mint()
    node.stores.close()
    assert [page.read_bytes() == b"spoilt" for page in pages_of_it] == [False, False, False]
    same(read_anew(files), read_from_the_log(files))


def test_a_checkpoint_is_of_one_instant_although_commits_go_on_while_it_is_written(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 1000)
    made = mint_alone(files, 4)
    storage = MoodyStorage(Directory(files.root))
    node = Node(storage)
    node.issuer.disable(made[0], by=BY)
    put = storage.put

    def late(path: str, data: bytes) -> str | None:
        if path.startswith(Place.PAGE.folder):
            storage.put = put
            node.issuer.revoke(made[1], by=BY)
            node.issuer.revoke(made[3], by=BY)
        return put(path, data)

    with node.keys.snapshot() as frozen:
        storage.put = late
        checkpoints.write(storage, frozen, node.stores.peppers)
        assert len(list(frozen.records())) == frozen.count()
    assert files.checkpoint(6).exists()
    for number in (7, 8):
        files.commit(number).rename(files.root / str(number))
    then = read_anew(files)
    same(then, read_from_the_log(files))
    for number in (7, 8):
        (files.root / str(number)).rename(files.commit(number))
    assert then.follower.poll()
    same(then, read_from_the_log(files))
    with node.keys.snapshot() as frozen:
        checkpoints.write(storage, frozen, node.stores.peppers)
    node.stores.close()
    assert files.checkpoint(8).exists()
    same(read_anew(files), read_from_the_log(files))
