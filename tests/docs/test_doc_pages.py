"""What pages name exists: links lead somewhere, and settings, commands and targets are real."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, anchors, links, pages

from keyrack.settings import Settings, variable

SETTINGS = {variable(field.name) for field in dataclasses.fields(Settings)}
NOT_OF_THE_SOURCE = re.compile(r"/(?:work|home|root|tmp)/|#\d+\b|\bissue \d+", re.IGNORECASE)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    if link.startswith("https://"):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_every_page_is_reached_from_the_index() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    assert {page for page in DOCS.rglob("*.md") if page.name != "index.md"} <= listed


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\bKEYRACK_[A-Z_]+\b", page.read_text(encoding="utf-8")))
    assert named - SETTINGS == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named - targets == set()


def test_a_page_names_nothing_that_only_its_writer_knows() -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    found = [
        f"{page.name}: {one[0]}" for page, text in texts.items() for one in NOT_OF_THE_SOURCE.finditer(text)
    ]
    assert found == []
