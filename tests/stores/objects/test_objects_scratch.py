"""What a node works out from the log lies on its disk: nobody else sees it, and trouble with it is ours."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from objects_bed import Node, founded

from keyrack.core.errors import Unavailable
from keyrack.stores.objects.directory import Directory
from keyrack.stores.objects.scratch import Scratch

NUMBERS = "CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT);"
INSERT = "INSERT INTO numbers VALUES (?, ?)"
FULL, ROOMY = "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"


def test_all_of_a_change_is_made_or_nothing() -> None:
    scratch = Scratch(NUMBERS)
    with pytest.raises(Unavailable), scratch.changing():
        scratch.fill(INSERT, [(1, "one"), (1, "again")])
    assert scratch.rows("SELECT * FROM numbers") == []
    with scratch.changing():
        scratch.fill(INSERT, [(1, "one"), (2, "two")])
    assert scratch.number("SELECT count(*) FROM numbers") == 2
    assert scratch.row("SELECT * FROM numbers WHERE number = 3") is None


def test_nothing_of_it_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    scratch = Scratch(NUMBERS + "PRAGMA cache_size = 1;")
    scratch.fill(INSERT, ((number, "x" * 5000) for number in range(100)))
    assert list(tmp_path.iterdir()) == []
    assert scratch.number("SELECT count(*) FROM numbers") == 100


def test_once_closed_it_is_unavailable() -> None:
    scratch = Scratch(NUMBERS)
    scratch.close()
    with pytest.raises(Unavailable):
        scratch.rows("SELECT * FROM numbers")


def test_a_child_that_was_forked_does_not_use_it() -> None:
    process = multiprocessing.get_context("spawn").Process(target=fork_and_look)
    process.start()
    process.join(60)
    assert process.exitcode == 0


def fork_and_look() -> None:
    scratch = Scratch(NUMBERS)
    child = os.fork()
    if not child:
        try:
            scratch.rows("SELECT * FROM numbers")
        except Unavailable:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    raise SystemExit(0 if os.waitstatus_to_exitcode(status) == 7 else 1)


def test_a_node_without_room_follows_no_further_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    writer = founded(tmp_path / "keys")
    node = Node(Directory(tmp_path / "keys"))
    node.follower.load()
    with node.keys._log.now() as state:
        scratch = state.scratch
    scratch.run(FULL)
    for _ in range(30):
        writer.mint("n" * 100)
    writer.stores.close()
    assert not node.follower.poll()
    assert "temporary directory" in str(node.follower.trouble)
    scratch.run(ROOMY)
    assert node.follower.poll()
    assert node.follower.replica.in_all == 30
