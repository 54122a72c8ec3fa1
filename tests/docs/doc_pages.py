"""Reads Markdown pages: their fenced blocks in order, tables, headings and links.

An HTML comment right above a fence says what is special about a block:

    <!-- not run: REASON -->        nothing is done with it, for this reason
    <!-- file: NAME -->             it is saved under this name, for the blocks below
    <!-- output -->                 it shows what the block before it printed
    <!-- body: POST /v1/keys -->    it is a request body, and is sent
    <!-- takes: KEY=secret -->      the reader has put this member of the JSON printed before into KEY
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SPECIFICATIONS = DOCS / "spec"
"""Requirements of example services; proved by tests of their own."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_COMMENT = re.compile(r"<!-- (?P<kind>not run|file|output|body|takes)(?:: (?P<value>[^\n]+?))? -->\n\Z")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    """Of its first line of text, from 1."""
    language: str
    text: str
    kind: str | None = None
    value: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page for readers, the README first."""
    own = (path for path in sorted(DOCS.rglob("*.md")) if SPECIFICATIONS not in path.parents)
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *own]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return list(_blocks(page, page.read_text(encoding="utf-8")))


def section(page: Path, title: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    text = without_blocks(page)
    start = next(found for found in _HEADING.finditer(text) if found[2] == title)
    for following in _HEADING.finditer(text, start.end()):
        if len(following[1]) <= len(start[1]):
            return text[start.end() : following.start()]
    return text[start.end() :]


def headings(page: Path) -> list[str]:
    """The headings of a page, as they are written."""
    return [title for _, title in _HEADING.findall(without_blocks(page))]


def anchors(page: Path) -> set[str]:
    """What links into a page may name: its headings, as forges write them."""
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in headings(page))
    return {title.strip().replace(" ", "-") for title in plain}


def links(page: Path) -> list[str]:
    """Where a page links to."""
    return [one or other for one, other in _LINK.findall(without_blocks(page))]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their heads; code marks are taken off."""
    found, head = [], True
    for line in text.splitlines():
        if not line.startswith("|"):
            head = True
        elif re.fullmatch(r"[|\-: ]+", line):
            head = False
        elif not head:
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            found.append([cell.replace("`", "").replace("\\|", "|").strip() for cell in cells])
    return found


def without_blocks(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _blocks(page: Path, text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        indent = len(found["indent"])
        body = "".join(line[indent:] or "\n" for line in found["text"].splitlines(keepends=True))
        line = text.count("\n", 0, found.start("text")) + 1
        comment = _COMMENT.search(text[: found.start()])
        marks = (comment["kind"], comment["value"] or "") if comment else (None, "")
        yield Block(page, line, found["language"], body, *marks)
