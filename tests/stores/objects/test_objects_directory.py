"""A directory as a store of objects: put-if-absent that is durable on return, under names that sort."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from keyrack.core.errors import Unavailable
from keyrack.stores.objects.directory import Directory
from keyrack.testing.samples import at_once

STEPS = {"fsync", "link", "replace", "write"}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def steps(directory: Directory, path: str) -> list[str]:
    """What the system is asked for to put an object, as the interpreter itself counts it."""
    found: list[str] = []

    def see(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in STEPS:
            found.append(function.__name__)

    sys.setprofile(see)
    try:
        directory.put(path, b"x")
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.spec("LL-46", "LL-49")
def test_an_object_is_synced_before_it_has_its_name_and_its_folder_after(directory: Directory) -> None:
    directory.put("log/0", b"x")
    assert steps(directory, "log/1") == ["write", "fsync", "link", "fsync"]


def test_a_folder_that_is_made_is_synced_above_it(directory: Directory) -> None:
    assert steps(directory, "new/1") == ["fsync", "write", "fsync", "link", "fsync"]


def test_of_what_could_not_be_written_nothing_is_left(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space is left")

    directory.put("log/1", b"x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            directory.put("log/2", b"x")
    (tmp_path / "log" / "3").mkdir()
    with pytest.raises(Unavailable):
        directory.replace("log/3", b"x")
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["1", "3"]


@pytest.mark.spec("LL-45")
def test_of_many_that_put_at_once_one_wins_and_its_bytes_stay(tmp_path: Path) -> None:
    won: list[bytes] = []

    def put(data: bytes) -> None:
        if Directory(tmp_path).put("log/1", data) is not None:
            won.append(data)

    at_once([lambda number=number: put(b"%d" % number) for number in range(16)])
    found = Directory(tmp_path).get("log/1")
    assert found is not None
    assert won == [found.data]
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["1"], "no draft is left"


def test_a_tag_stays_with_an_object_and_changes_with_it(directory: Directory) -> None:
    tag = directory.put("log/1", b"x")
    found = directory.get("log/1")
    assert found is not None
    assert tag == found.tag == directory.tag("log/1")
    directory.replace("log/1", b"x")
    assert directory.tag("log/1") not in (None, tag)


def test_what_is_absent_is_none_and_is_removed_without_complaint(directory: Directory) -> None:
    assert directory.get("log/1") is None
    assert directory.tag("log/1") is None
    assert directory.list("log/") == []
    directory.remove("log/1")


def test_a_listing_is_in_order_behind_a_path_and_shows_no_draft(directory: Directory, tmp_path: Path) -> None:
    for name in ("3", "1", "2"):
        directory.put(f"log/{name}", b"x")
    (tmp_path / "log" / ".4.draft").write_bytes(b"half")
    assert [one.path for one in directory.list("log/", after="log/1")] == ["log/2", "log/3"]


def test_an_object_is_never_read_half(directory: Directory) -> None:
    whole = b"x" * 100_000
    done = threading.Event()
    seen: set[int] = set()

    def write() -> None:
        for number in range(30):
            directory.put(f"log/{number}", whole)
            directory.replace("log/latest", whole)
        done.set()

    def read() -> None:
        while not done.is_set():
            found = [directory.get(one.path) for one in directory.list("log/")]
            seen.update(len(one.data) for one in found if one is not None)

    at_once([write, read])
    assert seen <= {len(whole)}


def test_what_the_system_refuses_is_our_own_trouble(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where a folder should be")
    with pytest.raises(Unavailable, match="Error"):
        directory.put("log/1", b"x")
