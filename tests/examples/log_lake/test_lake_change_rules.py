"""What every change brings with it: its tests, and words about what is public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples import run

ROOT = Path(__file__).parents[3]
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    """The functions, classes and methods that others may call."""
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


@pytest.mark.spec("LL-60")
@pytest.mark.parametrize("folder", ["src/keyrack", "examples/log_lake"])
def test_public_functions_say_what_they_do(folder: str) -> None:
    trees = [ast.parse(path.read_text()) for path in (ROOT / folder).rglob("*.py")]
    found = [node for tree in trees for node in public(tree)]
    documented = [node for node in found if ast.get_docstring(node)]
    assert len(found) > 50
    assert len(documented) / len(found) >= 0.8


def test_the_log_lake_is_an_example() -> None:
    assert "log_lake" in run.names()
