"""Figures as tables: on a terminal, as Markdown, and as JSON for whoever wants to compute with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Figure, Section, Spread

COLUMNS = ("what", "ours", "beside", "ratio, median", "lowest – highest", "target", "met")
NOT_MEASURED = (
    "servers of more than one worker; TLS; a network between client, server, database and Redis",
    "databases that write to disk before they answer, but for SQLite; Azure and Google",
    "the write of the journal, once a second, in a thread of its own",
    "other processors than this one, and Python without the global lock",
)

Machine = Mapping[str, str]


def show(console: Console, section: Section) -> None:
    """A section on a terminal."""
    console.rule(section.title)
    console.print(section.how, style="dim", soft_wrap=True)
    table = Table(*COLUMNS)
    for figure in section.figures:
        table.add_row(*_cells(figure), style="red" if figure.is_met is False else None)
    console.print(table)
    for line in section.profile:
        console.print(line, style="dim", highlight=False)


def write(folder: Path, machine: Machine, sections: Sequence[Section], *, name: str = "latest") -> Path:
    """The results as `latest.json` and `latest.md`, or by another name; gives where the latter is."""
    folder.mkdir(exist_ok=True)
    document = {
        "machine": dict(machine),
        "sections": [
            {**asdict(section), "figures": [_as_json(figure) for figure in section.figures]}
            for section in sections
        ],
        "not_measured": NOT_MEASURED,
    }
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    tables = folder / f"{name}.md"
    tables.write_text("\n".join(_markdown(machine, sections)) + "\n")
    return tables


def _as_json(figure: Figure) -> dict[str, object]:
    ratio = None if figure.ratio is None else figure.ratio._asdict()
    target = None if figure.target is None else figure.target._asdict()
    return {**asdict(figure), "ratio": ratio, "target": target, "met": figure.is_met}


def _markdown(machine: Machine, sections: Sequence[Section]) -> Iterable[str]:
    yield "# One run of the bench"
    yield ""
    yield "Written by `make bench`. How to read it: [README](../README.md)."
    yield ""
    for name, value in machine.items():
        yield f"- {name}: {value}"
    for section in sections:
        yield from _section(section)
    yield ""
    yield "## Not measured"
    yield ""
    for one in NOT_MEASURED:
        yield f"- {one}"


def _section(section: Section) -> Iterable[str]:
    yield from ("", f"## {section.title}", "", section.how, "")
    yield _row(COLUMNS)
    yield _row("---" for _ in COLUMNS)
    for figure in section.figures:
        yield _row(_cells(figure))
    if section.profile:
        yield from ("", "Where the time goes:", "", "```", *section.profile, "```")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio, target = figure.ratio, figure.target
    return (
        figure.name,
        _quantity(figure.value, figure.unit),
        "" if figure.beside is None else _quantity(figure.beside, figure.unit),
        "" if ratio is None else f"{ratio.median:.2f}",
        "" if ratio is None else _range(ratio),
        "" if target is None else f"{target.relation} {target.bound:g}",
        {True: "yes", False: "NO", None: ""}[figure.is_met],
    )


def _range(ratio: Spread) -> str:
    return f"{ratio.low:.2f} – {ratio.high:.2f}"


def _quantity(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
