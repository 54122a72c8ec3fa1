"""Every requirement in docs/spec is carried by at least one test that is marked with its id."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SPECS = sorted((TESTS.parent / "docs" / "spec").glob("*.md"))
REQUIREMENT = re.compile(r"^(?:- \*\*([A-Z]{2}-\d+)\b|\| ([A-Z]{2}-\d+) \| `)", re.MULTILINE)
"""A paragraph of its own, or the row of an operation in a table."""


def marked(source: str) -> Iterator[str]:
    """The ids in each `pytest.mark.spec(…)` of a test file, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        is_spec = isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "spec"
        if is_spec and ast.unparse(node.func) == "pytest.mark.spec":
            yield from (ast.literal_eval(argument) for argument in node.args)


@cache
def proven() -> set[str]:
    return {name for path in TESTS.rglob("test_*.py") for name in marked(path.read_text())}


def required(spec: Path) -> list[str]:
    return [paragraph or row for paragraph, row in REQUIREMENT.findall(spec.read_text())]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_every_requirement_has_a_test(spec: Path) -> None:
    found = proven()
    without = [name for name in required(spec) if name not in found]
    assert without == [], f"{spec.name}: no test is marked with {', '.join(without)}"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_requirements_are_found_and_each_id_is_used_once(spec: Path) -> None:
    names = required(spec)
    assert names
    assert len(names) == len(set(names))


def test_no_test_is_marked_with_a_requirement_that_does_not_exist() -> None:
    """Of the specifications that are here; a test may prove more than one service's."""
    known = {name for spec in SPECS for name in required(spec)}
    prefixes = {name.partition("-")[0] for name in known}
    assert {name for name in proven() if name.partition("-")[0] in prefixes} <= known
