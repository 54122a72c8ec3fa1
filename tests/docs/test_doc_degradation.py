"""What is said of failures is shown by tests that exist, for every operation in every one of them."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from doc_pages import DOCS, ROOT, headings, rows, section

PAGE = DOCS / "reference" / "degradation.md"
FAILURES = headings(PAGE)[1:]
OPERATIONS = [
    "known key",
    "first use",
    "limited key",
    "mint or rotate",
    "revoke",
    "revoke and wait",
    "start",
    "readiness",
]
_TEST = re.compile(r"(tests/[\w/]+\.py)::([\w:]+)")


@pytest.mark.parametrize("failure", FAILURES)
def test_every_operation_is_told_once_and_in_order(failure: str) -> None:
    told = [operation for row in rows(section(PAGE, failure)) for operation in row[0].split("; ")]
    assert told == OPERATIONS


@pytest.mark.parametrize("failure", FAILURES)
def test_every_line_names_tests_that_exist(failure: str) -> None:
    for row in rows(section(PAGE, failure)):
        named = row[-1].split("<br>")
        assert [one for one in named if not exists(one)] == []


def exists(named: str) -> bool:
    """Whether `tests/path.py::test_name`, or `tests/path.py::TestClass::test_name`, is a test."""
    found = _TEST.fullmatch(named)
    return found is not None and found[2] in shown_by(found[1])


@cache
def shown_by(path: str) -> set[str]:
    """The names of the tests in a file, those of a class behind the name of it."""
    file = ROOT / path
    body = ast.parse(file.read_text(encoding="utf-8")).body if file.exists() else []
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    methods = {f"{one.name}::{name}" for one in classes for name in functions(one.body)}
    return functions(body) | methods


def functions(body: list[ast.stmt]) -> set[str]:
    return {node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
