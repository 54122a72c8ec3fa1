"""Every snippet of the documentation runs: page by page, from the top, as a reader would go through it."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from doc_pages import ROOT, Block, blocks, pages
from doc_session import API_PORT, Session

RUN = {"python", "sh", "console", "toml", "json"}
"""The languages whose blocks run, unless a comment says why not."""
MAX_NOT_RUN = 12
PAGES = [page for page in pages() if blocks(page)]


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.kind != "not run" and _is_done(block)]


def _is_done(block: Block) -> bool:
    return block.kind is not None or block.language in RUN


def prepare(session: Session, run: list[Block], request: pytest.FixtureRequest) -> None:
    """What a page counts on that it does not do itself: a store, or the server that other pages start."""
    text = "\n".join(block.text for block in run)
    if "$DATABASE_URL" in text:
        session.set("DATABASE_URL", request.getfixturevalue("postgresql_url"))
    calls = re.search(rf"\b{API_PORT}\b", text) or any(block.kind == "body" for block in run)
    if re.search(r"\bkeyrack (init|serve)\b", text):
        return
    if calls or re.search(r"^\$ keyrack\b", text, re.MULTILINE):
        session.make_store()
    if calls:
        session.start_server()


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_snippet_of_a_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = runnable(page)
    with closing(Session(tmp_path)) as session:
        prepare(session, run, request)
        for block in run:
            session.run(block)


def test_what_does_not_run_says_why_and_is_a_handful() -> None:
    left = [block for page in PAGES for block in blocks(page) if block.kind == "not run"]
    assert [str(block) for block in left if len(block.value) < 10] == []
    assert len(left) <= MAX_NOT_RUN, [f"{block} {block.value}" for block in left]


def test_every_block_names_its_language_and_is_of_a_known_kind() -> None:
    shown = [block for page in PAGES for block in blocks(page) if not _is_done(block)]
    assert [str(block) for block in shown if block.language != "text"] == []


def test_json_is_sent_or_compared_or_saved() -> None:
    shown = [block for page in PAGES for block in blocks(page) if block.language == "json"]
    assert [str(block) for block in shown if block.kind is None] == []
